"""Lists reach PostgreSQL as arrays, whatever they hold: what we send faster than psycopg arrives as it does with psycopg."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.array import ListDumper
from sqlalchemy import Connection, Integer, String, Uuid, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DataError

from sifilma.kernel.db import make_engine

SIGNS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
ODD = [
    "", " ", "NULL", "null", '"', "\\", '\\"', "{}", "{a,b}", "a,b", "'", "$1", "%s", "\n\t", "\u2003", "\u1680", "ID-\N{EM DASH}",
    "\U0001f5fa",
]  # fmt: skip
LISTS = {
    Uuid: st.lists(st.uuids(allow_nil=True) | st.none(), max_size=5),
    Integer: st.lists(st.integers(-(2**31), 2**31 - 1) | st.none(), max_size=5),
    String: st.lists(st.sampled_from(ODD) | st.text(SIGNS, max_size=8) | st.none(), max_size=5),
}


@pytest.fixture
def connection(postgresql_url: str) -> Iterator[Connection]:
    engine = make_engine(postgresql_url)
    with engine.connect() as made:
        yield made
    engine.dispose()


def arrived(connection: Connection, kind: type[Any], values: list[Any]) -> list[Any]:
    """Return a list as PostgreSQL read it."""
    found: list[Any] = connection.scalar(select(literal(values, ARRAY(kind()))))
    return found


def test_a_list_arrives_as_it_was(connection: Connection) -> None:
    @settings(max_examples=150)
    @given(st.sampled_from(list(LISTS)).flatmap(lambda kind: st.tuples(st.just(kind), LISTS[kind])))
    def arrives(sent: tuple[type[Any], list[Any]]) -> None:
        assert arrived(connection, *sent) == sent[1]

    arrives()
    assert arrived(connection, String, ODD) == ODD


def test_a_text_that_postgresql_does_not_take_is_refused_in_a_list_as_it_is_alone(connection: Connection) -> None:
    for values in (["a\0b"], ["a", "\0"]):
        with pytest.raises(DataError, match="NUL"):
            arrived(connection, String, values)
        connection.rollback()
    with pytest.raises(UnicodeEncodeError):
        arrived(connection, String, ["\ud800"])
    connection.rollback()


def test_our_connections_send_lists_their_own_way(connection: Connection) -> None:
    dumper = Transformer(connection.connection.driver_connection).get_dumper(["a"], PyFormat.AUTO)
    assert isinstance(dumper, ListDumper)
    assert type(dumper) is not ListDumper
    assert dumper.dump(["a", "b"]) == b'{"a","b"}'
