// One row for each thing that a project needs to be built.
MATCH (u:Project)-[:BUILD_DEPENDS_ON]->(i:Package)
RETURN u.name AS user, i.name AS item
