// One row an order line: the way from a customer to a product goes through an order, whose date is
// the time, and the quantity is the weight.
MATCH (u:Customer)-[:PURCHASED]->(o:`Order`)-[line:ORDERS]->(i:Product)
RETURN u.customerID AS user, i.productID AS item, line.quantity AS weight, o.orderDate AS time
