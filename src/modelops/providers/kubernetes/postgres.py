"""A PostgreSQL in a pod, of any image that has PostgreSQL's programs. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modelops.providers.kubernetes import names, pods
from modelops.providers.local.postgres.cluster import DATABASE, ROLE

_VOLUME = "/var/lib/postgresql"
_LOGIN, _TLS, _CONFIG = (f"{names.ETC}/{name}" for name in ("login", "tls", "postgresql"))
# Where Debian keeps the programs; other images have them on PATH.
_PATH = 'for folder in /usr/lib/postgresql/*/bin; do PATH="$folder:$PATH"; done'
_START = f"""\
# Becomes the server. A data folder has another name until it is whole. One that is there already
# may have been kept from an earlier server: its role gets the password of today.
set -eu
umask 077
{_PATH}
data={_VOLUME}/modelops
password=$(cat {_LOGIN}/{names.PASSWORD_KEY})
# One that was deleted by force may not have ended on this node when its successor begins. The lock
# goes with the server, since the descriptor stays open in it.
if command -v flock >/dev/null; then
    exec 9>{_VOLUME}/modelops.lock
    flock 9
fi
# Without the server: what it says is of interest only if it fails, and holds no statement.
alone() {{
    postgres --single -D "$1" -c log_min_error_statement=panic postgres >/tmp/said 2>&1 && return
    cat /tmp/said >&2
    exit 1
}}
if [ -e "$data" ]; then
    # Whatever pid is noted there isn't a server's: nobody else has the lock.
    rm -f "$data/postmaster.pid"
    echo "ALTER ROLE {ROLE} PASSWORD '$password'" | alone "$data"
else
    rm -rf "$data.new"
    initdb --pgdata="$data.new" --username={ROLE} --pwfile={_LOGIN}/{names.PASSWORD_KEY} \\
        --auth=scram-sha-256 --encoding=UTF8 --no-locale --data-checksums
    echo "CREATE DATABASE {DATABASE}" | alone "$data.new"
    mv "$data.new" "$data"
    sync
fi
exec postgres -D "$data" "$@"
"""
# Everybody comes with a password, over TLS.
_HBA = "hostssl all all all scram-sha-256\nlocal all all scram-sha-256\n"

FILES: Mapping[str, str] = MappingProxyType(
    {
        "start.sh": _START,
        "pg_hba.conf": _HBA,
        # initdb wants a name for whom it runs as.
        "passwd": f"{ROLE}:x:{names.USER_ID}:{names.USER_ID}::{names.TMP_MOUNT}:/bin/sh\n",
    }
)
"""The files of its ConfigMap."""


def url(password: str, host: str) -> str:
    """Return the URL of the database for journals.

    With `channel_binding` the server has to know the password too, and nobody is between: so that
    no client needs the CA of its certificate.
    """
    at = f"{host}:{names.DATABASE_PORT}/{DATABASE}"
    return f"postgresql://{ROLE}:{password}@{at}?sslmode=require&channel_binding=require"


def pod(
    properties: Mapping[str, Any], *, secret: str, claim: str, config: str, tls: str
) -> pods.Manifest:
    """Return the spec of the pod.

    Args:
        properties: those of the component.
        secret: the Secret of its password.
        claim: the claim of its data.
        config: the ConfigMap of FILES.
        tls: the Secret of its certificate.
    """
    settings = {
        "listen_addresses": "*",
        "unix_socket_directories": names.TMP_MOUNT,
        "hba_file": f"{_CONFIG}/pg_hba.conf",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": f"{_TLS}/{names.CERTIFICATE_KEY}",
        "ssl_key_file": f"{_TLS}/{names.PRIVATE_KEY_KEY}",
        "shared_buffers": f"{properties['memory'] // 4 // 2**20}MB",
        "max_wal_size": "256MB",
        # Nothing is replicated from here.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "logging_collector": "off",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # A server that recovers its data listens already and lets nobody in.
    ready = f"{_PATH}; pg_isready --quiet --host 127.0.0.1 --port {names.DATABASE_PORT}"
    is_ready = {"exec": {"command": ["sh", "-c", ready]}, "timeoutSeconds": 5}
    container = pods.container(
        "postgresql",
        properties,
        ["sh", f"{_CONFIG}/start.sh", *arguments],
        env={"LC_ALL": "C"},
        mounts={_VOLUME: "data", _LOGIN: "login:ro", _TLS: "tls:ro", _CONFIG: "config:ro"},
        ports=[{"name": "postgresql", "containerPort": names.DATABASE_PORT}],
        # Data that an earlier server left in a crash are recovered first.
        startupProbe={**is_ready, "periodSeconds": 1, "failureThreshold": 300},
        readinessProbe={**is_ready, "periodSeconds": 5},
        livenessProbe={**is_ready, "periodSeconds": 20, "failureThreshold": 6},
        # At SIGTERM alone it would wait until every client has gone.
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "kill -INT 1"]}}},
    )
    container["volumeMounts"].append(
        {"mountPath": "/etc/passwd", "name": "config", "subPath": "passwd", "readOnly": True}
    )
    tls_keys = (names.CERTIFICATE_KEY, names.PRIVATE_KEY_KEY)
    volumes = [
        pods.claim_volume("data", claim),
        pods.secret_volume("login", secret, [names.PASSWORD_KEY]),
        pods.secret_volume("tls", tls, tls_keys),
        pods.config_volume("config", config),
    ]
    return pods.pod_spec(properties, [container], volumes)
