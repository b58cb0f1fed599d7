"""Neo4j's example graphs from their CSV files: "recommendations" and "northwind".

The files are not shipped with the project; their folder is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from csv import DictReader
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from kgrec.property_graph import EdgeFile, NodeFile
from pyarrow import csv

PropertyGraph = tuple[list[NodeFile], list[EdgeFile]]


def recommendations_graph(source: Path, *, integer_ids: bool = False) -> PropertyGraph:
    """Read the film graph.

    Parameters
    ----------
    source
        The folder ``neo4j-recs``.
    integer_ids
        Whether ids are integers, as its own import script makes them, or text, as in the database
        that Neo4j serves.

    Returns
    -------
    tuple of list
        28,863 nodes and 166,261 relationships.
    """
    folder = source / "csv_original"
    ids = pa.int64() if integer_ids else pa.string()

    def table(name: str, columns: Mapping[str, tuple[str, pa.DataType]]) -> pa.Table:
        return _select(folder / f"recommendations-{name}.csv.gz", columns)

    text = pa.string()
    movies = {
        "movieId": ("movieId", ids),
        "title": ("title", text),
        "plot": ("plot", text),
        "released": ("released", text),
        "imdbRating": ("imdbRating", pa.float64()),
        "year": ("year", pa.int64()),
    }
    users = {"userId": ("userId", ids), "name": ("name", text)}
    people = _select(
        source / "persons_recovered.csv.gz", {"tmdbId": ("tmdbId", ids), "name": ("name", text)}
    )
    nodes = [
        NodeFile("Movie", "movieId", table("nodes-Movie", movies)),
        NodeFile("User", "userId", table("nodes-User", users)),
        NodeFile("Person", "tmdbId", people),
        NodeFile("Genre", "name", table("nodes-Genre", {"name": ("name", text)})),
    ]
    of_person = {"head": ("person_tmdbId", ids), "tail": ("movie_movieId", ids)}
    rated = {
        "head": ("user_userId", ids),
        "tail": ("movie_movieId", ids),
        "rating": ("rating", pa.float64()),
    }
    in_genre = {"head": ("movie_movieId", ids), "tail": ("genre_name", text)}
    acted_in = {**of_person, "role": ("role", text)}
    edges = [
        EdgeFile("ACTED_IN", "Person", "Movie", table("relationships-ACTED_IN", acted_in)),
        EdgeFile("DIRECTED", "Person", "Movie", table("relationships-DIRECTED", of_person)),
        EdgeFile("IN_GENRE", "Movie", "Genre", table("relationships-IN_GENRE", in_genre)),
        EdgeFile("RATED", "User", "Movie", table("relationships-RATED", rated)),
    ]
    return nodes, edges


def of_first_movies(data: PropertyGraph, count: int) -> PropertyGraph:
    """Keep some films of the film graph, and who and what is joined with them.

    Parameters
    ----------
    data
        From :func:`recommendations_graph`.
    count
        How many films.

    Returns
    -------
    tuple of list
        All genres and users, and the people of these films.
    """
    nodes, edges = data
    kept = {file.label: file.rows[file.key] for file in nodes}
    kept["Movie"] = kept["Movie"].slice(0, count)
    few = [
        replace(
            file,
            rows=file.rows.filter(
                pc.and_(
                    pc.is_in(file.rows["head"], value_set=kept[file.head]),
                    pc.is_in(file.rows["tail"], value_set=kept[file.tail]),
                )
            ),
        )
        for file in edges
    ]
    kept["Person"] = pa.chunked_array(
        [chunk for file in few if file.head == "Person" for chunk in file.rows["head"].chunks]
    )
    chosen = [
        replace(
            file, rows=file.rows.filter(pc.is_in(file.rows[file.key], value_set=kept[file.label]))
        )
        for file in nodes
    ]
    return chosen, few


def northwind_graph(source: Path) -> PropertyGraph:
    """Read customers, orders and products.

    Parameters
    ----------
    source
        The folder ``neo4j-northwind``.

    Returns
    -------
    tuple of list
        As its own script makes them: ids and dates are text, quantities integers.
    """

    def table(name: str, *columns: str) -> pa.Table:
        return _lenient(source / f"{name}.csv", {column: column for column in columns}, {})

    products = table("products", "productID", "productName", "quantityPerUnit")
    links = table("products", "productID", "categoryID", "supplierID")
    orders = table("orders", "orderID", "orderDate", "customerID")
    lines = _lenient(
        source / "order-details.csv",
        {"head": "orderID", "tail": "productID", "quantity": "quantity", "unitPrice": "unitPrice"},
        {"quantity": pa.int64(), "unitPrice": pa.float64()},
    )
    customers = table("customers", "customerID", "companyName", "country")
    categories = table("categories", "categoryID", "categoryName", "description")
    suppliers = table("suppliers", "supplierID", "companyName", "city", "country")
    nodes = [
        NodeFile("Customer", "customerID", customers),
        NodeFile("Order", "orderID", orders.select(["orderID", "orderDate"])),
        NodeFile("Product", "productID", products),
        NodeFile("Category", "categoryID", categories),
        NodeFile("Supplier", "supplierID", suppliers),
    ]
    edges = [
        EdgeFile("PURCHASED", "Customer", "Order", _ends(orders, "customerID", "orderID")),
        EdgeFile("ORDERS", "Order", "Product", lines),
        EdgeFile("PART_OF", "Product", "Category", _ends(links, "productID", "categoryID")),
        EdgeFile("SUPPLIES", "Supplier", "Product", _ends(links, "supplierID", "productID")),
    ]
    return nodes, edges


def _lenient(path: Path, columns: Mapping[str, str], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Read as LOAD CSV does: some rows have a comma in a name that isn't quoted."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(DictReader(file))
    blanks = {"", "NULL"}
    return pa.table(
        {
            new: pc.cast(
                pa.array([None if row[old] in blanks else row[old] for row in rows], pa.string()),
                kinds.get(new, pa.string()),
            )
            for new, old in columns.items()
        }
    )


def _ends(rows: pa.Table, head: str, tail: str) -> pa.Table:
    return pa.table({"head": rows[head], "tail": rows[tail]})


def _select(path: Path, columns: Mapping[str, tuple[str, pa.DataType]]) -> pa.Table:
    wanted = [name for name, _ in columns.values()]
    rows = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            include_columns=list(dict.fromkeys(wanted)),
            column_types=dict.fromkeys(wanted, pa.string()),
            strings_can_be_null=True,
            null_values=["", "NULL"],
        ),
    )
    return pa.table({new: pc.cast(rows[old], kind) for new, (old, kind) in columns.items()})
