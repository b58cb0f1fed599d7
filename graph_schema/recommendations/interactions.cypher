// One row a rating, with its stars as the weight.
MATCH (u:User)-[r:RATED]->(i:Movie)
RETURN u.userId AS user, i.movieId AS item, r.rating AS weight
