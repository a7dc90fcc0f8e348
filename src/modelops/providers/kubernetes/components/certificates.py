"""Certificates of what listens in the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from modelops.providers.kubernetes import names
from modelops.providers.kubernetes.components.cluster import Cluster
from modelops.providers.kubernetes.pods import Part
from modelops.providers.local.components.resources import PemCertificate

# A certificate is issued anew by an `up` in the last third of its days.
_AUTHORITY_DAYS, _CERTIFICATE_DAYS = 3650, 1095


@dataclass(frozen=True)
class Issued:
    """A certificate that is in a Secret, under the keys `ca.crt`, `tls.crt` and `tls.key`.

    Attributes:
        secret: the Secret.
        fingerprint: of the certificate.
    """

    secret: pulumi.Resource
    fingerprint: pulumi.Output[str]


def issue(
    cluster: Cluster,
    part: Part,
    secret: str,
    services: Sequence[str],
    *,
    below: pulumi.Resource,
) -> Issued:
    """Make a CA of the part's own and have it issue a certificate for some Services.

    The key of the CA is in the stack's state alone.
    """
    child = pulumi.ResourceOptions(parent=below)
    authority = PemCertificate(
        f"{secret}-ca", common_name=f"ModelOps CA of {part.env}", days=_AUTHORITY_DAYS, opts=child
    )
    hosts = [
        host
        for service in services
        for host in (
            service,
            f"{service}.{cluster.namespace}",
            names.host(service, cluster.namespace),
            f"{names.host(service, cluster.namespace)}.cluster.local",
        )
    ]
    certificate = PemCertificate(
        secret,
        common_name=part.name,
        days=_CERTIFICATE_DAYS,
        # A port that is forwarded ends on the user's own machine.
        hosts=[*hosts, "localhost", "127.0.0.1"],
        issuer=authority,
        opts=child,
    )
    values = {
        names.CA_KEY: authority.certificate,
        names.CERTIFICATE_KEY: certificate.certificate,
        names.PRIVATE_KEY_KEY: certificate.key,
    }
    made = cluster.secret(part, secret, values, below=below)
    return Issued(made, certificate.fingerprint)
