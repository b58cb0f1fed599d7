"""Guesses of who is who, and how they are overruled."""

from __future__ import annotations

import pytest
from kgrec.errors import ConfigError
from kgrec.inspection.guessing import guess_key, guess_roles, guess_texts, guess_time, guess_weight
from kgrec.inspection.inventory import Inventory, LinkKind, NodeKind, describe_properties

FILMS = Inventory(
    "cypher",
    (NodeKind("Person", 9), NodeKind("Movie", 5), NodeKind("User", 3), NodeKind("Review", 2)),
    (
        LinkKind("ACTED_IN", "Person", "Movie", 50),
        LinkKind("FOLLOWS", "User", "User", 40),
        LinkKind("KNOWS", "User", "Person", 30),
        LinkKind("RATED", "User", "Movie", 20),
        LinkKind("WROTE", "User", "Review", 10),
        LinkKind("ABOUT", "Review", "Movie", 10),
    ),
)


def names(found: tuple[LinkKind, ...]) -> list[str]:
    return [link.name for link in found]


def test_names_decide_before_counts() -> None:
    roles = guess_roles(FILMS)
    assert roles.user is not None
    assert (roles.user.name, roles.item.name, names(roles.path)) == ("User", "Movie", ["RATED"])
    assert roles.through is None


def test_overruled() -> None:
    assert names(guess_roles(FILMS, item="person").path) == ["KNOWS"]
    through = guess_roles(FILMS, item="Movie", interaction="wrote")
    assert names(through.path) == ["WROTE", "ABOUT"]
    assert through.through == NodeKind("Review", 2)
    actor = guess_roles(FILMS, user="Person", item="Movie")
    assert names(actor.path) == ["ACTED_IN"]
    by_interaction = guess_roles(FILMS, interaction="ACTED_IN")
    assert by_interaction.user is not None
    assert by_interaction.user.name == "Person"


def test_a_path_through_orders() -> None:
    shop = Inventory(
        "cypher",
        (NodeKind("Order", 9), NodeKind("Product", 5), NodeKind("Customer", 3)),
        (
            LinkKind("CONTAINS", "Order", "Product", 9),
            LinkKind("PLACED_BY", "Order", "Customer", 9),
        ),
    )
    roles = guess_roles(shop)
    assert names(roles.path) == ["PLACED_BY", "CONTAINS"]
    assert roles.through == NodeKind("Order", 9)


def test_no_users() -> None:
    inventory = Inventory(
        "sparql",
        (NodeKind("http://a.example/Person", 9), NodeKind("http://a.example/Gadget", 5)),
        (LinkKind("http://a.example/madeBy", "http://a.example/Gadget", "http://a.example/P", 9),),
    )
    roles = guess_roles(inventory)
    assert (roles.user, roles.item.name, roles.path) == (None, "http://a.example/Gadget", ())
    assert guess_roles(inventory, item="person").item.name == "http://a.example/Person"


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="there is no 'Film' to be the item: there are"):
        guess_roles(FILMS, item="Film")
    with pytest.raises(ConfigError, match="there is no 'SAW' to be the interaction"):
        guess_roles(FILMS, interaction="SAW")


def test_keys_texts_weights_and_times() -> None:
    rows = [
        {
            "movieId": n,
            "title": f"Film {n}",
            "plot": f"In the year {n}, a crew of strangers answers a call from far away.",
            "url": f"https://films.example/{n}",
            "released": "1979-05-25",
            "rating": n / 2,
            "timestamp": 1_260_759_144 + n,
        }
        for n in range(20)
    ]
    kind = NodeKind("Movie", 20, describe_properties(rows))
    assert guess_key(kind)[0].name == "movieId"
    assert [found.name for found in guess_texts(kind, "movieId")] == ["title", "plot"]
    weight, time = guess_weight(kind.properties), guess_time(kind.properties)
    assert weight is not None
    assert weight.name == "rating"
    assert time is not None
    assert time.name == "timestamp"
    kinds = {found.name: found.kind for found in kind.properties}
    assert (kinds["url"], kinds["released"]) == ("address", "moment")


def test_a_name_is_key_and_text_at_once() -> None:
    kind = NodeKind("Genre", 2, describe_properties([{"name": "Noir"}, {"name": "Comedy"}]))
    assert [found.name for found in guess_key(kind)] == ["name"]
    assert [found.name for found in guess_texts(kind, "name")] == ["name"]
