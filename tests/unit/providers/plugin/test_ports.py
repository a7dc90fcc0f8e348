"""Ports that are kept while their process is down."""

import socket
from pathlib import Path

import pytest

from modelops.providers.local.plugin import ports
from modelops.providers.local.plugin.ports import LOOPBACK, choose_ports

NAMES = ["scheduler", "dashboard", "web"]


def test_ports_are_chosen_where_the_system_gives_none_to_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    chosen = [port for _ in range(20) for port in choose_ports(NAMES, {}).values()]
    assert max(chosen) < lowest


def test_kept_ports_stay_and_no_port_is_given_twice() -> None:
    chosen = choose_ports(NAMES, {"dashboard": 23_456})
    assert chosen["dashboard"] == 23_456
    assert len({chosen["scheduler"], chosen["web"]}) == 2


def test_a_taken_port_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, choose_ports(["web"], {})["web"]))
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_OURS", range(port, port + 1))
        assert choose_ports(["web"], {})["web"] != port
