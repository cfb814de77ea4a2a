"""Mistakes in the file, each with the whole line that its writer gets: the setting, and what it should be.

Beside each mistake stands its nearest neighbour that is none, so that every bound is exact.
"""

from pathlib import Path

import pytest
from tests.unit.setting_mistakes import DIGESTS, SECONDS, WHOLE, mistakes
from tests.unit.url_texts import BROKER, ENCODED, REDIS

HERE = Path(__file__)
SHA = "0123456789abcdef" * 4
DATABASE = "[databases.d]\nurl = 'postgresql://u@h/d'\n"
WEBHOOK = "[webhooks.w]\nurl = 'https://h/w'\n"
HOST = "must be a host's name or its address"
PATH = "must be a path, as flower or tools/flower, of letters, digits and . _ ~ -"
NETWORKS = "must be addresses or networks, as 10.0.0.7 or 10.0.0.0/24"
PREFIX = "must be up to 64 letters, digits and signs, without spaces"
NAME = "a name has letters, digits, _ and - only, 64 at most"
GIVES_UP = "the worker would give up before the database does"
SAME_PORT = "flower.port: is also intake.port; give one of them another port"
SAME_PREFIX = "broker.prefix: must not begin with redis.prefix, nor redis.prefix with it: both are in one Redis"
SAME_KEY = "has a key of another client, too; each key must belong to one client"
SAME_BROKER = "flower.broker_url: must be the same broker as broker.url, with another user"
JOB_URL = "must be https://host/path or http://host/path with {job_id} in it"
DELIMITER = 'must be one character other than a letter, digit, blank or quote, as "," or "\\t"'
TABLE = "must be a table of names and values, or a list of texts where the setting allows one"
BOUND = "audience = 'a'\nissuer = 'i'"

UNBOUND = [
    f"jwt.{name}: must be set if keys come from an issuer; it is the `{claim}` of its tokens for this service"
    for name, claim in (("audience", "aud"), ("issuer", "iss"))
]
KEY_SETS = "jwt.algorithms: RS256 and ES256 need jwt.jwks_file or jwt.jwks_url, and these need one of the two"

WRONG = [
    ("[intake]\nport = true", [f"intake.port: {WHOLE} 0 to 65535"]),
    ("[intake]\nport = 1.5", [f"intake.port: {WHOLE} 0 to 65535"]),
    ("[intake]\nport = []", [f"intake.port: {WHOLE} 0 to 65535"]),
    ("[intake]\nmax_wait_seconds = true", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nmax_wait_seconds = nan", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nmax_wait_seconds = inf", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nmax_wait_seconds = 1e300", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nmax_wait_seconds = 'PT5S'", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nmax_wait_seconds = 07:32:00", [f"intake.max_wait_seconds: {SECONDS}"]),
    ("[intake]\nrate_per_second = nan", ["intake.rate_per_second: must be a number from 0 to 1000000000"]),
    ("[intake]\nrate_per_second = true", ["intake.rate_per_second: must be a number from 0 to 1000000000"]),
    ("[intake]\nrequire = 'neither'", ["intake.require: must be both or either"]),
    ("[intake]\nrequire_user_agent = 'perhaps'", ["intake.require_user_agent: must be true or false"]),
    ("[intake]\nhost = 5", ["intake.host: must be text"]),
    ("[intake]\nhost = 'a b'", [f"intake.host: {HOST}: the host is not a valid host name"]),
    (f"[intake]\nhost = '{'a' * 64}'", [f"intake.host: {HOST}: the host is not a valid host name"]),
    ("[intake]\nhost = ''", [f"intake.host: {HOST}: the host is missing"]),
    ("[intake]\nhost = '127.0.0.1:8080'", [f"intake.host: {HOST}, without a port and without [ ]"]),
    ("[intake]\nhost = '[::1]'", [f"intake.host: {HOST}, without a port and without [ ]"]),
    ("[intake]\ncors_origins = 'https://h'", ["intake.cors_origins: must be a list of texts"]),
    ("[intake]\ncors_origins = [5]", ["intake.cors_origins: must be a list of texts"]),
    ("[intake]\nroot_path = '/a b'", [f"intake.root_path: {PATH}"]),
    ("[intake]\nroot_path = '/a/../b'", [f"intake.root_path: {PATH}"]),
    ("[intake]\nroot_path = '/a/.'", [f"intake.root_path: {PATH}"]),
    ("[intake]\nroot_path = '/a//b'", [f"intake.root_path: {PATH}"]),
    ("[intake]\nroot_path = 'https://h/a'", [f"intake.root_path: {PATH}"]),
    ("[intake]\ntrusted_proxies = ['proxy.example']", [f"intake.trusted_proxies: {NETWORKS}"]),
    ("[intake]\ntrusted_proxies = ['10.0.0.1/8']", [f"intake.trusted_proxies: {NETWORKS}"]),
    ("[intake]\ntrusted_proxies = ['*']", [f"intake.trusted_proxies: {NETWORKS}"]),
    ("[intake]\ntrusted_proxies = '10.0.0.1'", ["intake.trusted_proxies: must be a list of texts"]),
    ("[redis]\nurl = 5", ["redis.url: must be text"]),
    ("[redis]\nurl = 1979-05-27", ["redis.url: must be text"]),
    ("[redis]\nca_file = 5", ["redis.ca_file: must be the path of a file"]),
    ("[redis]\nprefix = 'a b'", [f"redis.prefix: {PREFIX}"]),
    ("[redis]\nprefix = 'ä'", [f"redis.prefix: {PREFIX}"]),
    (f"[redis]\nprefix = '{'x' * 65}'", [f"redis.prefix: {PREFIX}"]),
    ("[redis]\ndurability = 'none'", ["redis.durability: must be fsync or relaxed"]),
    ("[jwt]\nalgorithms = ['HS512']", ["jwt.algorithms: must be a list of HS256, RS256 or ES256"]),
    ("[jwt]\naudience = ''", ["jwt.audience: must be text of one line, and not empty"]),
    ('[jwt]\nissuer = "a\\nb"', ["jwt.issuer: must be text of one line, and not empty"]),
    ("[log]\nlevel = 'loud'", ["log.level: must be debug, info, warning or error"]),
    ("[log]\nformat = 'xml'", ["log.format: must be json or console"]),
    ("[flower]\nuser = 'a:b'", ["flower.user: must not have a colon: browsers end a user's name there"]),
    ("[flower]\nurl_prefix = 'a b'", [f"flower.url_prefix: {PATH}"]),
    ("[flower]\nurl_prefix = '/'", [f"flower.url_prefix: {PATH}"]),
    ("[flower]\njob_url = 'https://h/x'", [f"flower.job_url: {JOB_URL}"]),
    ("[flower]\njob_url = 'https://u:p@h/{job_id}'", [f"flower.job_url: {JOB_URL}"]),
    ("[flower]\njob_url = 'ftp://h/{job_id}'", [f"flower.job_url: {JOB_URL}; {ENCODED}"]),
    (f"[clients.a]\napi_key_sha256 = ['{SHA[1:]}']", [f"clients.a.api_key_sha256: {DIGESTS}"]),
    (f"[clients.a]\napi_key_sha256 = ['{SHA}0']", [f"clients.a.api_key_sha256: {DIGESTS}"]),
    (f"[clients.a]\napi_key_sha256 = ['{SHA.upper()}']", [f"clients.a.api_key_sha256: {DIGESTS}"]),
    ("[clients.a]\ndatabases = [['a']]", ["clients.a.databases: must be a list of texts"]),
    ("[databases.d]\nurl = 5", ["databases.d.url: must be text"]),
    # sections and names
    ("intake = 5", ["intake: must be a section, as [intake]"]),
    ("databases = 3", ["databases: must be a section, as [databases.NAME]"]),
    ("[clients.a.files]\nm = 5", ["clients.a.files.m: must be a section, as [clients.a.files.m]"]),
    ("[clients.a.files.'m n']", [f"clients.a.files.m n: {NAME}"]),
    ("[clients.a.files.m]\nwidth = 5", ["clients.a.files.m.width: no such setting"]),
    (
        "[clients.a.files.m]\nskiped_lines = 5",
        ["clients.a.files.m.skiped_lines: no such setting; did you mean skipped_lines?"],
    ),
    (
        "[clients.a.files.m]\nskipped_lines = 1001",
        [f"clients.a.files.m.skipped_lines: {WHOLE} 0 to 1000"],
    ),
    ("[clients.a.files.m]\ntrim = 'yes'", ["clients.a.files.m.trim: must be true or false"]),
    *(
        (f"[clients.a.files.m]\ndelimiter = {sign}", [f"clients.a.files.m.delimiter: {DELIMITER}"])
        for sign in ("'a'", "'1'", "'\"'", "' '", '"\\u0000"', "';;'", "''")
    ),
    ("[clients.a.files.m.columns]\nx = 5", [f"clients.a.files.m.columns: {TABLE}"]),
    ("[clients.a]\nfiles = 5", ["clients.a.files: must be a section, as [clients.a.files.NAME]"]),
    ("[clients.a.files]\nm = 5", ["clients.a.files.m: must be a section, as [clients.a.files.m]"]),
    ("clients = []", ["clients: must be a section, as [clients.NAME]"]),
    ("[databases]\nd = 'x'", ["databases.d: must be a section, as [databases.d]"]),
    ("[databases.d]", ["databases.d.url: is missing"]),
    ("[databases.'a b']\nurl = 'sqlite:///d'", [f"databases.a b: {NAME}"]),
    (f"[databases.{'a' * 65}]\nurl = 'sqlite:///d'", [f"databases.{'a' * 65}: {NAME}"]),
    ("[clients.'ä']", [f"clients.ä: {NAME}"]),
    ("[jbos]\nwidth = 1", ["jbos: no such section; did you mean jobs?"]),
    ("[nonsense]", ["nonsense: no such section"]),
    ("nonsense = 1", ["nonsense: no such section"]),
    ("[intake]\nprot = 1", ["intake.prot: no such setting; did you mean port?"]),
    ("[jobs]\nretention = 1", ["jobs.retention: no such setting; did you mean retention_seconds?"]),
    ("[intake]\nnonsense = 1", ["intake.nonsense: no such setting"]),
    ("[databases.d]\nurl = 'sqlite:///d'\nurk = 1", ["databases.d.urk: no such setting; did you mean url?"]),
    (
        "[clients.a]\ndatabases = ['nowhere']",
        ["clients.a.databases: 'nowhere' is not a configured database (there are: none)"],
    ),
    (
        f"{DATABASE}[databases.e]\nurl = 'sqlite:///e'\n[clients.a]\ndatabases = ['d', 'D', 'e']",
        ["clients.a.databases: 'D' is not a configured database (there are: d, e)"],
    ),
    # between settings
    (
        "[intake]\nmax_connections = 600",
        ["intake.max_requests: must be below intake.max_connections: probes and new clients need some of them"],
    ),
    (
        "[jobs]\nlease_seconds = 14.999",
        ["jobs.lease_seconds: must be at least 15, that is worker.chunk_deadline_seconds and 5 s"],
    ),
    (
        "[worker]\nchunk_deadline_seconds = 10.5",
        ["jobs.lease_seconds: must be at least 15.5, that is worker.chunk_deadline_seconds and 5 s"],
    ),
    (
        f"{DATABASE}statement_timeout_seconds = 8.001",
        [
            "databases.d.statement_timeout_seconds: must be at most 8, that is 0.8 of worker.chunk_deadline_seconds:"
            f" {GIVES_UP}"
        ],
    ),
    (
        f"{DATABASE}statement_timeout_seconds = 5.601\n[worker]\nchunk_deadline_seconds = 7",
        [
            "databases.d.statement_timeout_seconds: must be at most 5.6, that is 0.8 of worker.chunk_deadline_seconds:"
            f" {GIVES_UP}"
        ],
    ),
    (
        f"{DATABASE}connect_timeout_seconds = 10.001",
        [f"databases.d.connect_timeout_seconds: must be at most 10, that is worker.chunk_deadline_seconds: {GIVES_UP}"],
    ),
    (
        "[databases.d]\nurl = 'postgresql://u@h/d?connect_timeout=11'",
        [
            "databases.d.url: has a connect_timeout, which must be a number of seconds, at most 10, that is"
            f" worker.chunk_deadline_seconds: {GIVES_UP}"
        ],
    ),
    ("[intake]\nport = 9000\n[flower]\nport = 9000", [SAME_PORT]),
    ("[intake]\nport = 9000\nhost = '0.0.0.0'\n[flower]\nport = 9000", [SAME_PORT]),
    ("[intake]\nport = 9000\nhost = '10.0.0.1'\n[flower]\nport = 9000\nhost = '::'", [SAME_PORT]),
    ("[redis]\nprefix = 'b:'", [SAME_PREFIX]),
    ("[redis]\nprefix = ''", [SAME_PREFIX]),
    ("[broker]\nprefix = 'c:x'\nurl = 'redis://127.0.0.1'", [SAME_PREFIX]),
    ("[flower]\nbroker_url = 'amqp://h'", [SAME_BROKER]),
    ("[broker]\nurl = 'amqp://h'\n[flower]\nbroker_url = 'redis://h'", [SAME_BROKER]),
    (
        "[redis]\nca_file = 'nowhere'\ncert_file = '/'",
        ["redis.ca_file: is not a file that can be read (No such file or directory)", "redis.cert_file: is not a file"],
    ),
    (
        f"[redis]\nca_file = '{'x' * 5000}'",
        ["redis.ca_file: is not a file that can be read (File name too long)"],
    ),
    (
        '[redis]\nca_file = "a\\u0000b"',
        ["redis.ca_file: is not a file that can be read (its name is not a valid file name)"],
    ),
    (f"[redis]\nca_file = '{HERE}'", ["redis.ca_file: must have certificates in PEM; none could be read"]),
    (
        f"[redis]\ncert_file = '{HERE}'",
        ["redis.cert_file: must be a certificate in PEM, and redis.key_file its key in PEM, without a password"],
    ),
    (f"[redis]\nkey_file = '{HERE}'", ["redis.key_file: needs redis.cert_file, the certificate of this key"]),
    (
        f"[clients.a]\napi_key_sha256 = ['{SHA}']\n[clients.b]\napi_key_sha256 = ['{'b' * 64}', '{SHA}']",
        [f"clients.a.api_key_sha256: {SAME_KEY}", f"clients.b.api_key_sha256: {SAME_KEY}"],
    ),
    ("[jwt]\nalgorithms = []", ["jwt.algorithms: must have one of HS256, RS256 and ES256"]),
    ("[jwt]\nalgorithms = ['RS256']", [KEY_SETS]),
    ("[jwt]\njwks_url = 'https://h/keys'", [KEY_SETS, *UNBOUND]),
    ("[jwt]\nalgorithms = ['ES256']\njwks_url = 'https://h/keys'\nissuer = 'i'", UNBOUND[:1]),
    (f"[jwt]\nalgorithms = ['ES256']\njwks_file = '{HERE}'\naudience = 'a'", UNBOUND[1:]),
    ("[jwt]\nrevoked_file = 'gone'", ["jwt.revoked_file: is not a file that can be read (No such file or directory)"]),
    (
        f"[jwt]\nalgorithms = ['ES256']\njwks_file = '{HERE}'\njwks_url = 'https://h/keys'\n{BOUND}",
        ["jwt.jwks_url: jwt.jwks_file is set already; set one of them"],
    ),
    (
        f"[jwt]\nalgorithms = ['ES256']\njwks_file = 'nowhere'\n{BOUND}",
        ["jwt.jwks_file: is not a file that can be read (No such file or directory)"],
    ),
    # what follows from a setting that is itself wrong is left until that is right, and nothing else is
    (
        "[intake]\nport = 'x'\n[jobs]\nlease_seconds = 5",
        [
            f"intake.port: {WHOLE} 0 to 65535",
            "jobs.lease_seconds: must be at least 15, that is worker.chunk_deadline_seconds and 5 s",
        ],
    ),
    (
        "[worker]\nchunk_deadline_seconds = 'x'\n[jobs]\nlease_seconds = 5",
        [f"worker.chunk_deadline_seconds: {SECONDS}"],
    ),
    ("[intake]\nport = 'x'\n[flower]\nport = 8080", [f"intake.port: {WHOLE} 0 to 65535"]),
    ("[intake]\nhost = ''\n[flower]\nport = 8080", [f"intake.host: {HOST}: the host is missing"]),
    ("[redis]\nprefix = 'b:x'", [SAME_PREFIX]),
    ("[worker]\nport = 8080", ["worker.port: is also intake.port; give one of them another port"]),
    ("[worker]\nport = 5555", ["worker.port: is also flower.port; give one of them another port"]),
    ("[flower]\nport = 8080\nhost = ''", [f"flower.host: {HOST}: the host is missing"]),
    ("[redis]\nprefix = ''\n[broker]\nprefix = ' '", [f"broker.prefix: {PREFIX}"]),
    ("[redis]\nprefix = ' '\n[broker]\nprefix = 'c:x'", [f"redis.prefix: {PREFIX}"]),
    (
        f"{DATABASE}statement_timeout_seconds = 9\n[worker]\nchunk_deadline_seconds = 0",
        [f"worker.chunk_deadline_seconds: {SECONDS}"],
    ),
    ("[broker]\nprefix = 'c:'\nurl = 'http://h'", [f"broker.url: {BROKER}; {ENCODED}"]),
    ("[redis]\nurl = 'http://h'\nprefix = 'b:'", [f"redis.url: {REDIS}; {ENCODED}"]),
    ("[jwt]\nalgorithms = ['RS256']\njwks_file = 5", ["jwt.jwks_file: must be the path of a file"]),
    (
        "[jwt]\nalgorithms = ['ES256']\njwks_url = 'https://h/keys'\njwks_file = 5",
        ["jwt.jwks_file: must be the path of a file", *UNBOUND],
    ),
    (f"[redis]\ncert_file = '{HERE}'\nkey_file = 5", ["redis.key_file: must be the path of a file"]),
    (
        "[intake]\nmax_connections = 'x'\nmax_requests = 5000",
        [f"intake.max_connections: {WHOLE} 1 to 1000000"],
    ),
    (
        f"{DATABASE}{WEBHOOK}client = 'acne'\n[clients.acme]\ndatabases = ['d']",
        ["webhooks.w.client: must be one of the clients; did you mean acme?"],
    ),
    (
        f"{WEBHOOK}client = 'c'\n[delivery]\ntimeout_seconds = 25.1",
        ["delivery.timeout_seconds: must be at most 25: after that another worker takes over"],
    ),
]  # fmt: skip

RIGHT = [
    "[flower]\njob_url = 'http://h:8080/a/{job_id}?x=1#/{job_id}'",
    "[clients.a.files.m]\nskipped_lines = 1000\ndelimiter = ';'\ntrim = true\ncolumns = ['case_Key']",
    f"{DATABASE}{WEBHOOK}client = 'acme'\n[clients.acme]\ndatabases = ['d']",
    f"{WEBHOOK}client = 'c'\n[delivery]\ntimeout_seconds = 25",
    "[delivery]\ntimeout_seconds = 25.1",
    "[intake]\nport = 0\n[flower]\nport = 0",
    "[intake]\nport = 9000\nhost = '10.0.0.2'\n[flower]\nport = 9000\nhost = '10.0.0.1'",
    "[intake]\nport = 9000\nhost = '0.0.0.0'\n[flower]\nport = 9001\nhost = '0.0.0.0'",
    "[intake]\nhost = '::1'",
    "[intake]\nmax_connections = 601",
    f"[intake]\nhost = '{'a' * 63}.example.'",
    "[intake]\nroot_path = 'a/b/'\ntrusted_proxies = ['10.0.0.0/8', '::1', '2001:db8::/32']",
    "[intake]\nrequire_user_agent = 'yes'\nrate_per_second = 0.5",
    f"[redis]\nprefix = '{'x' * 64}'",
    f"[databases.{'a' * 64}]\nurl = 'sqlite:///d'",
    f"{DATABASE}[clients.a-b_C1]\napi_key_sha256 = ['{SHA}', '{SHA}']\ndatabases = ['d']",
    "[jobs]\nlease_seconds = 15",
    "[worker]\nchunk_deadline_seconds = 10.5\n[jobs]\nlease_seconds = 15.5",
    f"{DATABASE}statement_timeout_seconds = 8\nconnect_timeout_seconds = 10",
    f"{DATABASE}statement_timeout_seconds = 5.6\n[worker]\nchunk_deadline_seconds = 7",
    "[databases.d]\nurl = 'postgresql://u@h/d?connect_timeout=10'",
    "[broker]\nprefix = 'c:'\nurl = 'redis://127.0.0.1/1'",
    "[broker]\nprefix = 'c:'\nurl = 'redis://127.0.0.1:6380'",
    "[broker]\nprefix = 'c:'\nurl = 'amqp://127.0.0.1'",
    "[broker]\nurl = 'amqp://h'\n[flower]\nbroker_url = 'amqp://flower@h'",
    f"[jwt]\nalgorithms = ['HS256', 'ES256']\njwks_file = '{HERE}'\n{BOUND}\nrevoked_file = '{HERE}'",
]


@pytest.mark.parametrize(("toml", "expected"), WRONG)
def test_a_mistake_in_the_file(tmp_path: Path, toml: str, expected: list[str]) -> None:
    assert mistakes(tmp_path, toml) == expected


@pytest.mark.parametrize("toml", RIGHT)
def test_no_mistake_in_the_file(tmp_path: Path, toml: str) -> None:
    assert mistakes(tmp_path, toml) == []
