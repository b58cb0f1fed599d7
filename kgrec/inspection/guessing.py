"""Guess which kind of node is the user, which the item, and what joins them.

Guesses go by names that people give to such things, then by counts, and are meant to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kgrec.errors import ConfigError, name_ids
from kgrec.inspection.inventory import Inventory, LinkKind, NodeKind, Property, local_name

USERS = (
    "user",
    "customer",
    "client",
    "member",
    "visitor",
    "account",
    "subscriber",
    "reader",
    "listener",
    "viewer",
    "player",
    "student",
    "patient",
    "shopper",
    "buyer",
    "reviewer",
    "rater",
)
ITEMS = (
    "item",
    "product",
    "movie",
    "film",
    "book",
    "article",
    "song",
    "track",
    "album",
    "artist",
    "game",
    "course",
    "recipe",
    "package",
    "paper",
    "document",
    "job",
    "event",
    "place",
    "restaurant",
    "hotel",
    "video",
    "app",
    "show",
)
INTERACTIONS = (
    "rate",
    "bought",
    "buy",
    "purchase",
    "order",
    "watch",
    "view",
    "like",
    "click",
    "listen",
    "read",
    "use",
    "review",
    "visit",
    "play",
    "interact",
    "borrow",
    "enrol",
    "consum",
    "download",
    "depend",
)
EVENTS = ("order", "purchase", "transaction", "session", "invoice", "basket", "cart", "rating")
KEYS = ("id", "uuid", "key", "iri", "uri", "slug", "code", "sku", "isbn")
TITLES = ("title", "name", "label", "preflabel", "headline", "caption")
DESCRIPTIONS = (
    "description",
    "plot",
    "overview",
    "summary",
    "abstract",
    "content",
    "body",
    "text",
    "comment",
    "synopsis",
)
WEIGHTS = ("rating", "score", "weight", "quantity", "count", "stars", "plays", "amount")
TIMES = ("timestamp", "time", "date", "at", "on", "created", "when")
LONG_TEXT = 40.0
LONG_KEY = 80.0
SECONDS_DIGITS = 9.0


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who.

    Parameters
    ----------
    user
        The users; None where the source holds none, and the log lies elsewhere.
    item
        The items.
    path
        The links from users to items: one, or two through something like an order; none where
        the log lies elsewhere.
    through
        What the path goes through, where it has two links.
    """

    user: NodeKind | None
    item: NodeKind
    path: tuple[LinkKind, ...]
    through: NodeKind | None = None


def guess_roles(
    inventory: Inventory,
    *,
    user: str | None = None,
    item: str | None = None,
    interaction: str | None = None,
) -> Roles:
    """Guess who is the user and what is the item.

    Parameters
    ----------
    inventory
        What the source holds.
    user, item, interaction
        Names of kinds that are known, which overrule a guess.

    Returns
    -------
    Roles
        The guess.

    Raises
    ------
    ConfigError
        If a name is of nothing in the source, or no item can be guessed.
    """
    chosen_user = _named(inventory, user, "user")
    chosen_item = _named(inventory, item, "item")
    links = _links_named(inventory, interaction)
    if chosen_user is None:
        chosen_user = _guess_user(inventory, links, interaction)
    if chosen_user is None:
        return Roles(None, chosen_item or _guess_item(inventory, None), ())
    path, through = _guess_path(inventory, chosen_user, chosen_item, links)
    if path:
        end = _other_end(path[-1], through or chosen_user)
        return Roles(chosen_user, _kind(inventory, end), path, through)
    return Roles(chosen_user, chosen_item or _guess_item(inventory, chosen_user), ())


def guess_key(kind: NodeKind) -> list[Property]:
    """Order the properties that may tell nodes apart, the likeliest first.

    Parameters
    ----------
    kind
        A kind of node.

    Returns
    -------
    list of Property
        Those that every sampled node has, each with a value of its own.
    """
    may_be = [
        found
        for found in kind.properties
        if found.kind in ("text", "integer", "address")
        and found.filled == found.distinct == 1.0
        and found.mean_length <= LONG_KEY
    ]
    own = f"{kind.name.casefold()}id"
    return sorted(may_be, key=lambda found: (_key_rank(found.name.casefold(), own), found.name))


def guess_texts(kind: NodeKind, key: str | None = None) -> list[Property]:
    """Choose what a node says about itself: a title, and a description where there is one.

    Parameters
    ----------
    kind
        A kind of node.
    key
        The property that tells nodes apart.

    Returns
    -------
    list of Property
        At most two; the key only where there is nothing else.
    """
    texts = [found for found in kind.properties if found.kind == "text"]
    others = [found for found in texts if found.name != key and not _is_key_name(found.name)]
    titles = _by_names(others, TITLES) or _by_ending(others, ("name", "title", "label"))
    long = [found for found in others if found.mean_length >= LONG_TEXT and found not in titles[:1]]
    descriptions = _by_names(long, DESCRIPTIONS) or sorted(
        long, key=lambda found: -found.mean_length
    )
    chosen = titles[:1] + descriptions[:1]
    if chosen:
        return chosen
    itself = [found for found in texts if found.name == key and not _is_key_name(found.name)]
    return itself[:1]


def guess_weight(properties: Iterable[Property]) -> Property | None:
    """Choose the property that says how strong an interaction is."""
    numbers = [found for found in properties if found.kind in ("integer", "number")]
    return next(iter(_by_names(numbers, WEIGHTS)), None)


def guess_time(properties: Iterable[Property]) -> Property | None:
    """Choose the property that says when an interaction was."""
    moments = [
        found
        for found in properties
        if found.filled == 1.0
        and (
            found.kind == "moment"
            or (found.kind == "integer" and found.mean_length > SECONDS_DIGITS)
        )
    ]
    named = _by_names(moments, TIMES) or _by_ending(moments, ("date", "time", "at"))
    return next(iter([*named, *moments]), None)


def _named(inventory: Inventory, name: str | None, role: str) -> NodeKind | None:
    if name is None:
        return None
    found = inventory.node(name)
    if found is None:
        names = name_ids(local_name(kind.name) for kind in inventory.nodes)
        raise ConfigError(f"there is no '{name}' to be the {role}: there are {names}")
    return found


def _links_named(inventory: Inventory, name: str | None) -> Sequence[LinkKind]:
    if name is None:
        return inventory.links
    wanted = name.casefold()
    links = [
        link
        for link in inventory.links
        if link.name == name or local_name(link.name).casefold() == wanted
    ]
    if not links:
        names = name_ids(dict.fromkeys(local_name(link.name) for link in inventory.links))
        raise ConfigError(f"there is no '{name}' to be the interaction: there are {names}")
    return links


def _guess_user(
    inventory: Inventory, links: Sequence[LinkKind], interaction: str | None
) -> NodeKind | None:
    if interaction is not None:
        return _kind(inventory, max(links, key=lambda link: link.count).head)
    return next(iter(_alike(inventory.nodes, USERS)), None)


def _guess_item(inventory: Inventory, user: NodeKind | None) -> NodeKind:
    nodes = [kind for kind in inventory.nodes if kind != user]
    named = _alike(nodes, ITEMS)
    if named:
        return named[0]
    if not nodes:
        raise ConfigError("there is but one kind of node: name user and item")

    def richness(kind: NodeKind) -> tuple[int, int]:
        return sum(kind.name in (link.head, link.tail) for link in inventory.links), kind.count

    return max(nodes, key=richness)


def _guess_path(
    inventory: Inventory, user: NodeKind, item: NodeKind | None, links: Sequence[LinkKind]
) -> tuple[tuple[LinkKind, ...], NodeKind | None]:
    first = [link for link in links if user.name in (link.head, link.tail) and not _is_loop(link)]
    direct = [
        link
        for link in first
        if (item is None and not _is_event(_other_end(link, user)))
        or (item is not None and _other_end(link, user) == item.name)
    ]
    if direct:
        return (max(direct, key=_likeness_of_link),), None
    for link in sorted(first, key=_likeness_of_link, reverse=True):
        through = _kind(inventory, _other_end(link, user))
        onward = [
            other
            for other in inventory.links
            if through.name in (other.head, other.tail)
            and not _is_loop(other)
            and user.name not in (other.head, other.tail)
            and (item is None or _other_end(other, through) == item.name)
        ]
        if onward:
            return (link, max(onward, key=lambda other: other.count)), through
    return (), None


def _kind(inventory: Inventory, name: str) -> NodeKind:
    return inventory.node(name) or NodeKind(name, 0)


def _other_end(link: LinkKind, kind: NodeKind) -> str:
    return link.tail if link.head == kind.name else link.head


def _is_loop(link: LinkKind) -> bool:
    return link.head == link.tail


def _is_event(name: str) -> bool:
    return any(word in local_name(name).casefold() for word in EVENTS)


def _likeness_of_link(link: LinkKind) -> tuple[bool, int]:
    name = local_name(link.name).casefold()
    return any(word in name for word in INTERACTIONS), link.count


def _alike(kinds: Iterable[NodeKind], names: Sequence[str]) -> list[NodeKind]:
    def place(kind: NodeKind) -> int:
        name = local_name(kind.name).casefold()
        return next((n for n, word in enumerate(names) if word in name), len(names))

    return sorted((kind for kind in kinds if place(kind) < len(names)), key=place)


def _key_rank(name: str, own: str) -> int:
    if name == own or name.replace("_", "") == own:
        return 0
    if name in KEYS:
        return 1
    return 2 if _is_key_name(name) else 3


def _is_key_name(name: str) -> bool:
    folded = local_name(name).casefold()
    return folded in KEYS or folded.endswith(("id", "_key", "_code"))


def _by_names(properties: Iterable[Property], names: Sequence[str]) -> list[Property]:
    listed = [found for found in properties if local_name(found.name).casefold() in names]
    return sorted(listed, key=lambda found: names.index(local_name(found.name).casefold()))


def _by_ending(properties: Iterable[Property], endings: tuple[str, ...]) -> list[Property]:
    return [found for found in properties if local_name(found.name).casefold().endswith(endings)]
