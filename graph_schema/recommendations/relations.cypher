// One row an edge; heads and tails are ids of the entities query.
MATCH (h:Person)-[:ACTED_IN]->(t:Movie) WHERE h.tmdbId IS NOT NULL
RETURN h.tmdbId AS head, 'acted_in' AS relation, t.movieId AS tail
UNION ALL
MATCH (h:Person)-[:DIRECTED]->(t:Movie) WHERE h.tmdbId IS NOT NULL
RETURN h.tmdbId AS head, 'directed' AS relation, t.movieId AS tail
UNION ALL
MATCH (h:Movie)-[:IN_GENRE]->(t:Genre)
RETURN h.movieId AS head, 'in_genre' AS relation, t.name AS tail
