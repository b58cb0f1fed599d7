// One row a node.  Left out on purpose: imdbRating, imdbVotes and revenue, which say how popular a
// film has become, and which nobody knows of a new one.
MATCH (n:User) RETURN n.userId AS id, 'user' AS type, '' AS text
UNION ALL
MATCH (n:Movie)
RETURN n.movieId AS id, 'movie' AS type, coalesce(n.title, '') + '. ' + coalesce(n.plot, '') AS text
UNION ALL
MATCH (n:Person) WHERE n.tmdbId IS NOT NULL
RETURN n.tmdbId AS id, 'person' AS type, coalesce(n.name, '') AS text
UNION ALL
MATCH (n:Genre) RETURN n.name AS id, 'genre' AS type, n.name AS text
