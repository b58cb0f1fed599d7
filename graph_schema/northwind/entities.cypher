// One row a node.
MATCH (n:Customer) RETURN n.customerID AS id, 'customer' AS type, '' AS text
UNION ALL
MATCH (n:Product)
RETURN n.productID AS id, 'product' AS type,
       n.productName + '. ' + coalesce(n.quantityPerUnit, '') AS text
UNION ALL
MATCH (n:Category)
RETURN n.categoryID AS id, 'category' AS type,
       n.categoryName + '. ' + coalesce(n.description, '') AS text
UNION ALL
MATCH (n:Supplier)
RETURN n.supplierID AS id, 'supplier' AS type,
       n.companyName + '. ' + coalesce(n.city, '') + ', ' + coalesce(n.country, '') AS text
