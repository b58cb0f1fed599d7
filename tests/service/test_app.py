"""The service over HTTP: every route, every refusal."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from kgrec import Config, Recommender, TextEncoder
from kgrec.service.settings import Tokens

from tests.live_world import FILMS, live_graph
from tests.service.conftest import Service, Start

NEW = {
    "id": "new",
    "text": "a shark in the desert",
    "edges": [{"relation": "has_genre", "node": "genre1"}],
}
PROBLEM = "application/problem+json"


def test_recommend_to_a_user(service: Service) -> None:
    answer = service.post("/recommend", user="person01", n=5)
    assert answer.status == 200
    expected = service.live.current().recommend("person01", 5)
    found = answer.json["recommendations"]
    assert [one["item"] for one in found] == expected["item"].tolist()
    assert [one["score"] for one in found] == pytest.approx(expected["score"].tolist())
    assert [one["rank"] for one in found] == [1, 2, 3, 4, 5]
    assert [one["cold"] for one in found] == expected["cold"].tolist()
    assert answer.json["model"] == {"version": service.live.version, "changes": 0}


def test_recommend_to_a_history_with_filters(service: Service) -> None:
    ranker = service.live.current()
    answer = service.post(
        "/recommend", history=["film01", "film02"], n=7, where={"genre": ["genre1"]}, cold=True
    )
    expected = ranker.recommend_for(["film01", "film02"], 7, where={"genre": ["genre1"]}, cold=True)
    assert [one["item"] for one in answer.json["recommendations"]] == expected["item"].tolist()
    diverse = service.post("/recommend", user="person03", n=6, diversity=0.6, explore=0.4, seed=3)
    wanted = ranker.recommend("person03", 6, diversity=0.6, explore=0.4, seed=3)
    assert [one["item"] for one in diverse.json["recommendations"]] == wanted["item"].tolist()


def test_recommend_by_attributes(service: Service) -> None:
    edges = [{"relation": "has_genre", "node": "genre1"}]
    answer = service.post("/recommend", attributes={"text": "a shark", "edges": edges}, n=60)
    found = [one["item"] for one in answer.json["recommendations"]]
    assert len(found) == FILMS
    assert service.post("/recommend", attributes={"edges": edges}, cold=True).status == 200
    assert len(service.live.current().graph.items) == FILMS
    other = service.post("/recommend", attributes={"text": "war song bank"}, n=60)
    assert [one["item"] for one in other.json["recommendations"]] != found


def test_a_new_item_is_ranked_at_once_and_goes_again(service: Service) -> None:
    assert service.ask("PUT", "/items", {"items": [NEW]}).json == {"change": 1}
    answer = service.post("/recommend", user="person01", items=["new"])
    (found,) = answer.json["recommendations"]
    assert found["cold"]
    assert found["text"] == NEW["text"]
    used = service.post("/interactions", interactions=[{"user": "person01", "item": "new"}])
    assert used.json == {"change": 2}
    assert service.post("/recommend", user="person01", items=["new"]).json["recommendations"] == []
    (other,) = service.post("/recommend", user="person02", items=["new"]).json["recommendations"]
    assert not other["cold"]
    assert service.ask("DELETE", "/items/new").json == {"change": 3}
    gone = service.post("/recommend", user="person02", items=["new"])
    assert (gone.status, gone.headers["content-type"]) == (404, PROBLEM)
    assert "'new'" in gone.json["detail"]


def test_similar_explain_and_audience(service: Service) -> None:
    ranker = service.live.current()
    similar = service.post("/similar", items=["film01"], n=3).json["similar"]
    assert [one["neighbour"] for one in similar] == ranker.similar_items("film01", 3)[
        "neighbour"
    ].tolist()
    answer = service.post("/explain", user="person01", item="film36", n=99, what_if=2).json
    explained = ranker.explanation("film36", user="person01", n=99)
    assert answer["score"] == pytest.approx(explained.score)
    total = sum(path["contribution"] for path in answer["paths"]) + answer["base"]
    assert total == pytest.approx(answer["score"], abs=1e-4)
    assert len(answer["what_if"]) == 2
    assert all(one["score"] != answer["score"] for one in answer["what_if"])
    audience = service.post("/audience", item="film36", n=4).json["audience"]
    ranks = [
        ranker.recommend(one["user"], 99).set_index("item")["rank"]["film36"] for one in audience
    ]
    assert [one["rank"] for one in audience] == ranks
    scores = [one["score"] for one in audience]
    assert scores == sorted(scores, reverse=True)


def test_search_and_neighbourhood(service: Service) -> None:
    found = service.ask("GET", "/search?q=FILM0&type=film&limit=4").json["nodes"]
    assert [node["id"] for node in found] == ["film00", "film01", "film02", "film03"]
    words = service.ask("GET", "/search?q=shark").json["nodes"]
    assert words
    assert all("shark" in node["text"] for node in words)
    answer = service.ask("GET", "/neighbourhood?type=film&id=film03").json
    assert answer["total"] == len(answer["ties"]) >= 3
    assert {"relation": "follows", "outwards": True} in [
        {name: tie[name] for name in ("relation", "outwards")} for tie in answer["ties"]
    ]
    assert service.ask("GET", "/neighbourhood?type=film&id=nope").status == 404
    assert service.ask("GET", "/neighbourhood?type=nope&id=nope").status == 422
    facts = service.ask("GET", "/graph").json
    assert facts["item"] == "film"
    assert facts["nodes"]["film"] == FILMS


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/recommend", {}, 422, "exactly one of user"),
        ("/recommend", {"user": "a", "history": []}, 422, "exactly one of user"),
        ("/recommend", {"user": "eve"}, 404, "'eve'"),
        ("/recommend", {"user": "person01", "n": 0}, 422, "body.n"),
        ("/recommend", {"user": "person01", "colour": 1}, 422, "body.colour"),
        ("/recommend", {"user": "person01", "where": {"colour": ["red"]}}, 422, "'colour'"),
        ("/similar", {"items": ["nope"]}, 404, "'nope'"),
        ("/explain", {"user": "person01", "item": "nope"}, 404, "'nope'"),
        ("/interactions", {"interactions": [{"user": "a", "item": "nope"}]}, 422, "'nope'"),
        ("/interactions", {"interactions": []}, 422, "body.interactions"),
    ],
)
def test_what_is_wrong_is_named(
    path: str, body: object, status: int, named: str, service: Service
) -> None:
    answer = service.ask("POST", path, body)
    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM)
    assert named in answer.json["detail"]
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert service.live.position == 0


def test_a_bad_item_in_a_batch_changes_nothing(service: Service) -> None:
    bad = {"id": "bad", "edges": [{"relation": "has_genre", "node": "nowhere"}]}
    answer = service.ask("PUT", "/items", {"items": [NEW, bad]})
    assert answer.status == 422
    assert "'nowhere'" in answer.json["detail"]
    assert service.ask("PUT", "/items", b"{not json").status == 422
    assert service.ask("PUT", "/nothing", {}).status in (404, 405)
    assert service.live.position == 0


READER = {"Authorization": "Bearer reader-reader-reader"}
WRITER = {"Authorization": "Bearer writer-writer-writer"}


def test_tokens_and_their_scopes(start: Start) -> None:
    service = start(Tokens(read=("reader-reader-reader",), write=("writer-writer-writer",)))
    body = {"user": "person01"}
    for headers, read, write in (
        ({}, 401, 401),
        ({"Authorization": "Bearer wrong"}, 401, 401),
        ({"Authorization": "Basic cmVhZGVy"}, 401, 401),
        (READER, 200, 403),
        (WRITER, 200, 200),
    ):
        assert service.ask("POST", "/recommend", body, headers).status == read
        assert service.ask("PUT", "/items", {"items": [NEW]}, headers).status == write
        assert service.ask("GET", "/metrics", headers=headers).status == read
    assert service.ask("POST", "/recommend", body).headers["www-authenticate"] == "Bearer"
    for path in ("/health", "/ready", "/"):
        assert service.ask("GET", path).status == 200


def test_no_route_but_those_of_health_and_the_page_answers_without_a_token(start: Start) -> None:
    service = start(Tokens(read=("reader-reader-reader",), write=("writer-writer-writer",)))
    document = service.ask("GET", "/openapi.json", headers=READER).json
    open_routes = {"/health", "/ready"}
    asked = 0
    for path, verbs in document["paths"].items():
        for verb in verbs:
            if path not in open_routes:
                answer = service.ask(verb.upper(), path.replace("{item}", "film01"), {})
                assert answer.status == 401, (verb, path)
                asked += 1
    assert asked >= 8


def test_tokens_are_in_no_log_answer_or_repr(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens(read=("reader-reader-reader",), write=("writer-writer-writer",))
    caplog.set_level("DEBUG")
    service = start(tokens)
    answers = [
        service.ask("POST", "/recommend", {"user": "person01"}, READER),
        service.ask("POST", "/recommend", {"user": "nobody"}, READER),
        service.ask("PUT", "/items", {"items": [NEW]}, READER),
        service.ask("POST", "/recommend?token=x", b"{", WRITER),
    ]
    told = caplog.text + repr(tokens) + "".join(str(vars(answer)) for answer in answers)
    assert "reader-reader" not in told
    assert "writer-writer" not in told


def test_pages_of_other_sites_get_nothing_where_there_are_no_tokens(service: Service) -> None:
    assert service.ask("GET", "/graph", headers={"Host": "evil.example"}).status == 400


def test_limits(start: Start) -> None:
    small = start(max_body=200)
    answer = small.post("/recommend", history=["film01"] * 100)
    assert (answer.status, answer.headers["content-type"]) == (413, PROBLEM)
    assert small.post("/recommend", history=["film01"]).status == 200
    slow = start(rate="3/minute")
    found = [slow.post("/recommend", user="person01") for _ in range(5)]
    assert [one.status for one in found] == [200, 200, 200, 429, 429]
    assert found[-1].headers["retry-after"] == "60"


def test_a_body_without_a_length_is_counted(start: Start) -> None:
    import http.client

    service = start(max_body=200)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    parts = iter([b'{"history": [', b'"film01",' * 100, b'"film01"]}'])
    connection.request("POST", "/recommend", parts, {"Content-Type": "application/json"})
    with connection.getresponse() as answer:
        assert answer.status == 413
    connection.close()


def test_request_ids(service: Service) -> None:
    given = service.ask("GET", "/health", headers={"X-Request-ID": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    strange = service.ask("GET", "/health", headers={"X-Request-ID": "a b;c"})
    assert len(strange.headers["x-request-id"]) == 32


def test_metrics(service: Service) -> None:
    service.post("/recommend", user="person01")
    service.post("/recommend", user="nobody")
    text = service.ask("GET", "/metrics").text
    assert 'kgrec_requests_total{method="POST",route="/recommend",status="200"} 1.0' in text
    assert 'kgrec_requests_total{method="POST",route="/recommend",status="404"} 1.0' in text
    assert f"kgrec_items {FILMS:.1f}" in text
    assert 'kgrec_request_seconds_count{route="/recommend"} 2.0' in text


def test_the_description_has_examples_that_work(service: Service) -> None:
    described = service.ask("GET", "/openapi.json").json
    paths = set(described["paths"])
    assert {
        "/recommend",
        "/similar",
        "/explain",
        "/items",
        "/items/{item}",
        "/interactions",
        "/health",
        "/ready",
        "/metrics",
    } <= paths
    for schema in ("RecommendRequest", "PutItemsRequest", "InteractionsRequest"):
        assert described["components"]["schemas"][schema]["examples"]


def test_a_replica_follows_and_writes_nothing(start: Start) -> None:
    writer, replica = start(), start(read_only=True)
    writer.ask("PUT", "/items", {"items": [NEW]})
    assert replica.post("/recommend", user="person01", items=["new"]).status == 200
    answer = replica.ask("PUT", "/items", {"items": [NEW]})
    assert answer.status == 422
    assert "read-only" in answer.json["detail"]
    assert replica.ask("GET", "/graph").json["read_only"]


def test_a_new_model_takes_over_without_a_dropped_request(
    start: Start, folder: Path, tiny_encoder: TextEncoder
) -> None:
    service = start()
    service.ask("PUT", "/items", {"items": [NEW]})
    anew = Recommender(Config(steps=1), encoder=tiny_encoder).fit(live_graph(), seed=2)
    statuses, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(service.post("/recommend", user="person01", items=["new"]).status)

    asking = threading.Thread(target=ask)
    asking.start()
    before = service.live.version
    anew.save(folder)
    end = time.monotonic() + 20
    while service.live.version == before and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    asking.join()
    assert service.live.version != before
    assert set(statuses) == {200}
    answer = service.post("/recommend", user="person01", n=5)
    assert answer.json["model"]["changes"] == 1


def test_the_model_is_compacted(service: Service, folder: Path, tiny_encoder: TextEncoder) -> None:
    service.ask("PUT", "/items", {"items": [NEW]})
    assert service.ask("POST", "/compact", {}).json == {"change": 1}
    assert "new" in Recommender.load(folder, encoder=tiny_encoder).graph.items.ids.to_pylist()


def test_a_lost_journal_is_told(service: Service, folder: Path) -> None:
    service.ask("PUT", "/items", {"items": [NEW]})
    journal = folder.with_name("model.journal")
    content = journal.read_bytes()
    journal.write_bytes(content.replace(b"shark", b"Shark") + b"x\n")
    answer = service.post("/recommend", user="person01")
    assert answer.status == 507
    assert "altered" in answer.json["detail"]
    assert service.ask("GET", "/ready").status == 503


def test_ready_once_the_text_model_is_loaded(service: Service) -> None:
    end = time.monotonic() + 20
    while service.ask("GET", "/ready").status != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert service.ask("GET", "/ready").json == {"status": "ready"}
    assert json.loads(service.ask("GET", "/health").text) == {"status": "ok"}
