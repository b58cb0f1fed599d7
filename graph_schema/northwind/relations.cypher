// One row an edge; heads and tails are ids of the entities query.
MATCH (h:Product)-[:PART_OF]->(t:Category)
RETURN h.productID AS head, 'part_of' AS relation, t.categoryID AS tail
UNION ALL
MATCH (h:Supplier)-[:SUPPLIES]->(t:Product)
RETURN h.supplierID AS head, 'supplies' AS relation, t.productID AS tail
