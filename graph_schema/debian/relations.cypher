// One row an edge; heads and tails are ids of the entities query.
MATCH (h:Package)-[:DEPENDS_ON]->(t:Package)
RETURN h.name AS head, 'depends_on' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:NEEDS]->(t:Library)
RETURN h.name AS head, 'needs' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:BUILT_FROM]->(t:Source)
RETURN h.name AS head, 'built_from' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:MAINTAINED_BY]->(t:Team)
RETURN h.name AS head, 'maintained_by' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:IN_SECTION]->(t:Section)
RETURN h.name AS head, 'in_section' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:HOMEPAGE_AT]->(t:Host)
RETURN h.name AS head, 'homepage_at' AS relation, t.name AS tail
UNION ALL
MATCH (h:Package)-[:HAS_TAG]->(t:Debtag)
RETURN h.name AS head, 'has_tag' AS relation, t.name AS tail
