// One row a node; an empty text is none, and an item's text is what the archive says about it.
MATCH (n:Project) RETURN n.name AS id, 'project' AS type, '' AS text
UNION ALL
MATCH (n:Package) RETURN n.name AS id, 'package' AS type, n.summary + '. ' + n.description AS text
UNION ALL
MATCH (n:Library) RETURN n.name AS id, 'library' AS type, n.name AS text
UNION ALL
MATCH (n:Source) RETURN n.name AS id, 'source' AS type, n.name AS text
UNION ALL
MATCH (n:Team) RETURN n.name AS id, 'team' AS type, n.name AS text
UNION ALL
MATCH (n:Section) RETURN n.name AS id, 'section' AS type, n.name AS text
UNION ALL
MATCH (n:Host) RETURN n.name AS id, 'host' AS type, n.name AS text
UNION ALL
MATCH (n:Debtag) RETURN n.name AS id, 'debtag' AS type, n.label AS text
