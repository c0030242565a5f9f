"""Cassettes: real traffic, recorded once and replayed for ever."""

from airframe.testing.cassette.cassette import Cassette, Mode, UnmatchedRequestError
from airframe.testing.cassette.exchange import CassetteError, CassetteExchange, CassetteRequest

__all__ = ["Cassette", "CassetteError", "CassetteExchange", "CassetteRequest", "Mode", "UnmatchedRequestError"]
