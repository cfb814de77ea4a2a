"""A role reaches what its part needs and is reached by whoever it serves, and by nobody else."""

import re
from ipaddress import ip_address, ip_network

import pytest
from tests.deployment.chart import CASES, Object, Rendered, rendered, values_of
from tests.deployment.rendering import DESCRIBED, ROOT, SERVING

_API_OF_THE_PAGE = ROOT / "src" / "carecase_worker" / "intake" / "page" / "static" / "api.js"


def _egress(release: Rendered, name: str) -> list[Object]:
    egress = release.one("NetworkPolicy", name)["spec"]["egress"]
    assert isinstance(egress, list)
    return egress


@pytest.mark.parametrize("case", [case for case in CASES if case != "bare"])
def test_every_role_has_a_policy_and_flower_reaches_the_broker_alone(case: str) -> None:
    release = rendered(case)
    assert {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in release.of("NetworkPolicy")} == {
        *SERVING,
        "migration",
    }
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in release.of("NetworkPolicy"))
    dns, broker = _egress(release, "carecase-flower")
    assert {port["port"] for port in dns["ports"]} == {53}
    assert [port["port"] for port in broker["ports"]] == [{"rabbitmq-jwks": 5671, "production": 6380}.get(case, 6379)]
    assert release.one("NetworkPolicy", "carecase-migration")["spec"]["ingress"] == []


def test_a_role_reaches_the_servers_that_are_named_and_no_others_at_their_ports() -> None:
    reached = values_of("production")["networkPolicy"]
    redis, databases, collector = (reached[part]["to"] for part in ("redis", "databases", "collector"))
    expected = {
        "intake": {6380: redis, 4318: collector},
        "worker": {6380: redis, 5432: databases, 4318: collector},
        "flower": {6380: redis},
        "migration": {5432: databases},
    }
    for role, peers in expected.items():
        rules = [rule for rule in _egress(rendered("production"), f"carecase-{role}")[1:] if len(rule["ports"]) == 1]
        assert {rule["ports"][0]["port"]: rule["to"] for rule in rules} == peers
    named = "networkPolicy: {broker: {to: [{podSelector: {matchLabels: {a: b}}}]}, issuer: {to: [{podSelector: {}}]}}"
    _, _, broker, issuer = _egress(rendered("rabbitmq-jwks", named), "carecase-intake")
    assert (broker["to"], issuer["to"]) == ([{"podSelector": {"matchLabels": {"a": "b"}}}], [{"podSelector": {}}])


def test_each_role_reaches_what_its_part_needs() -> None:
    def ports(case: str, role: str) -> list[int]:
        return [port["port"] for rule in _egress(rendered(case), f"carecase-{role}")[1:] for port in rule["ports"]]

    assert ports("minimal", "intake") == [6379]
    assert ports("minimal", "worker") == [6379, 5432]
    assert ports("minimal", "migration") == [5432]
    assert ports("rabbitmq-jwks", "intake") == [6379, 5671, 443]
    assert ports("rabbitmq-jwks", "worker") == [6379, 5671, 5432]
    assert ports("production", "intake") == [6380, 4318]
    assert ports("production", "worker") == [6380, 5432, 443, 8443, 4318]
    extra = rendered("minimal", "networkPolicy: {extraEgress: {worker: [{ports: [{port: 4317}]}]}}")
    assert _egress(extra, "carecase-worker")[-1] == {"ports": [{"port": 4317}]}


@pytest.mark.parametrize("role", [*SERVING, "migration"])
def test_names_are_asked_for_at_the_clusters_own_server_and_by_tcp_too(role: str) -> None:
    """An answer that fits no datagram is asked for again by TCP."""
    dns, *_ = _egress(rendered("minimal"), f"carecase-{role}")
    assert [(port["port"], port["protocol"]) for port in dns["ports"]] == [(53, "UDP"), (53, "TCP")]
    (peer,) = dns["to"]
    assert peer["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}


def test_network_policies_admit_the_named_namespaces_and_helms_test_pod() -> None:
    def let_in(role: str) -> list[Object]:
        (rule,) = release.one("NetworkPolicy", f"carecase-{role}")["spec"]["ingress"]
        assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
        peers: list[Object] = rule["from"]
        return peers

    def named(peers: list[Object]) -> list[str]:
        return [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in peers]

    release = rendered("production")
    *peers, own = let_in("intake")
    assert named(peers) == ["gateways", "monitoring"]
    (test,) = release.pods("test")
    assert own["podSelector"]["matchLabels"].items() <= test.metadata["labels"].items()
    assert named(let_in("worker")) == ["monitoring"]
    assert named(let_in("flower")) == ["operators"]


def test_a_worker_reaches_the_internet_for_webhooks_and_inside_what_is_permitted() -> None:
    (rule,) = [
        one
        for one in _egress(rendered("production"), "carecase-worker")
        if {"port": 8443, "protocol": "TCP"} in one["ports"]
    ]
    let_through = [
        (ip_network(peer["ipBlock"]["cidr"]), [ip_network(one) for one in peer["ipBlock"].get("except", ())])
        for peer in rule["to"]
    ]

    def reaches(address: str) -> bool:
        ip = ip_address(address)
        return any(ip in network and not any(ip in one for one in but) for network, but in let_through)

    assert all(map(reaches, ("93.184.216.34", "2606:2800:220::1", "10.1.2.3", "10.2.0.7")))
    assert not any(map(reaches, ("10.2.0.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1")))
    assert not any(map(reaches, ("fd00::1", "fe80::1", "::1")))


def test_nobody_opens_flower_unless_it_is_wanted() -> None:
    assert rendered("minimal").one("NetworkPolicy", "carecase-flower")["spec"]["ingress"] == []
    (rule,) = rendered("production").one("NetworkPolicy", "carecase-flower")["spec"]["ingress"]
    assert rule["from"]


def test_ingress_and_route_have_the_hosts_tls_and_timeouts_of_the_values() -> None:
    ingress = rendered("rabbitmq-jwks").one("Ingress", "carecase-intake")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"secretName": "carecase-tls", "hosts": ["carecase.example.org"]}]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "75"
    release = rendered("production", "intake: {service: {port: 8000}}")
    route = release.one("HTTPRoute", "carecase-intake")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    assert route["hostnames"] == ["carecase.example.org"]
    (rule,) = route["rules"]
    assert rule["timeouts"] == {"request": "0s"}, "a large body takes longer than a gateway's default"
    assert rule["backendRefs"] == [{"name": "carecase-intake", "port": 8000}]


def _let_in(release: Rendered) -> list[str]:
    """The paths of Ingress and HTTPRoute."""
    let_in = [
        path["path"] for one in release.of("Ingress") for rule in one["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    return let_in + [
        match["path"]["value"]
        for one in release.of("HTTPRoute")
        for rule in one["spec"]["rules"]
        for match in rule["matches"]
    ]


@pytest.mark.parametrize("case", ["production", "rabbitmq-jwks"])
def test_clients_reach_what_the_contract_describes_and_nothing_for_operators(case: str) -> None:
    let_in = _let_in(rendered(case))
    root = "/carecase" if case == "production" else ""
    for path, operations in DESCRIBED.items():
        is_for_clients = all("Health" not in operation.get("tags", ()) for operation in operations.values())
        is_let_in = any(f"{root}{path}/".startswith(f"{one.removesuffix('/')}/") for one in let_in)
        assert is_let_in == is_for_clients, path


@pytest.mark.parametrize(("case", "root"), [("production", "/carecase"), ("rabbitmq-jwks", "")])
def test_the_page_for_jobs_and_what_it_reads_are_reached_as_long_as_it_is_served(case: str, root: str) -> None:
    for path in ("/app", "/openapi.json"):
        assert _let_in(rendered(case)).count(root + path) == 1
        assert _let_in(rendered(case, f"publicPaths: [{path}, /jobs]")).count(root + path) == 1
        assert root + path not in _let_in(rendered(case, "settings: {intake: {app_page: false}}"))


def test_the_page_asks_for_nothing_that_is_not_let_in() -> None:
    """What it requests of the API is in one of its files."""
    asked = set(re.findall(r"""[(\s]["`]([a-z][a-z.-]+)[^"`]*["`]""", _API_OF_THE_PAGE.read_text()))
    paths = {path.split("/")[1] for path in (*DESCRIBED, "/openapi.json")}
    assert {"jobs", "openapi.json", "mappings"} <= asked & paths
    assert {f"/{path}" for path in asked & paths} <= set(_let_in(rendered("rabbitmq-jwks")))
