//! Wrong configurations: exit code 2, and a message that names place and remedy. `wrong.txt` holds the messages; to
//! accept new ones run with `SNAPSHOTS=overwrite` and read the difference.

use std::fmt::Write as _;

use super::{Call, airbyte_proxy};

type Case = (&'static str, fn() -> Call);

/// `check` on a file with this content, credentials given.
fn toml(content: &str) -> Call {
    airbyte_proxy("check --config x.toml").credentials().file("x.toml", content)
}

/// `check` with this variable, credentials given.
fn variable(name: &str, value: &str) -> Call {
    airbyte_proxy("check").credentials().env(name, value)
}

/// `check` on a file whose section `[credentials]` has this content.
fn credentials(content: &str) -> Call {
    airbyte_proxy("check --config x.toml").file("x.toml", format!("[credentials]\n{content}\n"))
}

/// `check` with a secret file of this content.
fn secret_file(content: &[u8], mode: u32) -> Call {
    credentials("client_id = \"x\"\nclient_secret_file = \"s/secret\"")
        .file("s/secret", content)
        .mode("s/secret", mode)
}

const CASES: &[Case] = &[
    // --- the file
    ("file that is not there", || airbyte_proxy("check --config nope.toml").credentials()),
    ("file that is a directory", || airbyte_proxy("check --config s").credentials().file("s/x", "")),
    ("file that is not text", || {
        airbyte_proxy("check --config x.toml").credentials().file("x.toml", b"\xff\xfe")
    }),
    ("empty --config", || airbyte_proxy("check").credentials().env("AIRBYTE_PROXY_CONFIG", "")),
    ("syntax error beside a secret", || toml("workers = 1\nclient_secret = hunter2-planted\n")),
    ("unterminated string", || toml("[upstream]\napi_url = \"https://hunter2-planted\n")),
    ("duplicate key", || toml("workers = 1\nworkers = 2\n")),
    ("duplicate section", || toml("[log]\nlevel = \"info\"\n[log]\nformat = \"json\"\n")),
    ("unknown key, a slip", || toml("[upstream]\napi_ulr = \"https://airbyte.corp/api/public/v1\"\n")),
    ("unknown key, section forgotten", || toml("api_url = \"https://airbyte.corp/api/public/v1\"\n")),
    ("unknown key, a stranger", || toml("[database]\nurl = \"postgres://u:hunter2-planted@db\"\n")),
    ("value where a section is", || toml("token = \"hunter2-planted\"\n")),
    ("section where a value is", || toml("[listen]\nport = 1\n")),
    // --- values
    ("port instead of array", || toml("listen = 8484\n")),
    ("host name to listen on", || toml("listen = [\"airbyte.corp:8484\"]\n")),
    ("address without port", || toml("listen = [\"127.0.0.1\"]\n")),
    ("URL to listen on", || toml("listen = [\"http://localhost:8484\"]\n")),
    ("the same address twice", || toml("listen = [8484, \"127.0.0.1:8484\"]\n")),
    ("relative socket", || toml("listen = [\"unix:x.sock\"]\n")),
    ("nowhere to listen", || toml("listen = []\n")),
    ("open to the network", || airbyte_proxy("check --listen 0.0.0.0:8484").credentials()),
    ("switch in quotes", || toml("published_port = \"yes\"\n")),
    ("switch as a number", || variable("AIRBYTE_PROXY_PUBLISHED_PORT", "1")),
    ("negative count", || toml("workers = -1\n")),
    ("count that is a word", || variable("AIRBYTE_PROXY_WORKERS", "many")),
    ("duration without unit", || toml("[upstream]\nconnect_timeout = 5\n")),
    ("duration that is none", || toml("[drain]\ngrace = \"a while\"\n")),
    ("duration out of range", || toml("[token]\nmax_lifetime = \"48h\"\n")),
    ("decimal size", || toml("[limits]\nreplay_body = \"1MB\"\n")),
    ("size out of range", || toml("[limits]\nreplay_body = \"2GiB\"\nreplay_total = \"4GiB\"\n")),
    ("unknown word", || toml("[log]\nlevel = \"verbose\"\n")),
    ("empty variable", || variable("AIRBYTE_PROXY_UPSTREAM_API_URL", "")),
    ("unknown variable, a slip", || variable("AIRBYTE_PROXY_UPSTREAM_API_ULR", "hunter2-planted")),
    ("unknown variable, the secret", || variable("AIRBYTE_PROXY_CLIENT_SECRET", "hunter2-planted")),
    ("unknown variable, a stranger", || variable("AIRBYTE_PROXY_DATABASE", "hunter2-planted")),
    // --- URLs
    ("scheme of another protocol", || toml("[upstream]\napi_url = \"ftp://airbyte.corp/v1\"\n")),
    ("URL without scheme", || {
        airbyte_proxy("check --upstream-api-url airbyte.corp/api/public/v1").credentials()
    }),
    ("URL with a password", || toml("[upstream]\napi_url = \"https://u:hunter2-planted@airbyte.corp/v1\"\n")),
    ("plain http to another machine", || {
        toml("[upstream]\napi_url = \"http://airbyte.corp/api/public/v1\"\n")
    }),
    ("Cloud's web UI", || toml("[upstream]\napi_url = \"https://cloud.airbyte.com/v1\"\n")),
    ("Cloud without /v1", || toml("[upstream]\napi_url = \"https://api.airbyte.com\"\n")),
    ("the proxy itself", || toml("[upstream]\napi_url = \"http://localhost:8484/v1\"\n")),
    ("Configuration API of Cloud by auto", || toml("[upstream]\nconfig_api_url = \"auto\"\n")),
    ("token endpoint of a stranger", || toml("[token]\nurl = \"https://api.airbyte.com.example/token\"\n")),
    ("token endpoint in clear", || toml("[token]\nurl = \"http://api.airbyte.com/v1/applications/token\"\n")),
    ("proxy over TLS", || toml("[upstream]\nproxy = \"https://u:hunter2-planted@proxy:3128\"\n")),
    ("proxy without scheme", || variable("AIRBYTE_PROXY_UPSTREAM_PROXY", "u:hunter2-planted@proxy:3128")),
    ("certificates that are not there", || toml("[upstream]\nca_file = \"ca.pem\"\n")),
    ("certificates that are none", || toml("[upstream]\nca_file = \"x.toml\"\n")),
    ("less memory for all than for one", || toml("[limits]\nreplay_total = \"64KiB\"\n")),
    // --- the guard
    ("name that breaks a line", || toml("name = \"a<b>\"\n")),
    ("name that is a text", || toml("name = \"a very long name, longer than a line of anything\"\n")),
    ("public URL without scheme", || toml("public_url = \"airbyte.corp.example\"\n")),
    ("public URL with a user", || toml("public_url = \"https://u:hunter2-planted@airbyte.corp.example\"\n")),
    ("read-only that is a word", || variable("AIRBYTE_PROXY_READ_ONLY", "yes")),
    ("host name with a port", || toml("[guard]\nallowed_hosts = [\"proxy.corp:8484\"]\n")),
    ("host name that is a pattern", || variable("AIRBYTE_PROXY_GUARD_ALLOWED_HOSTS", "proxy.corp,*.corp")),
    ("host names that are no array", || toml("[guard]\nallowed_hosts = \"proxy.corp\"\n")),
    ("host name that is a number", || toml("[guard]\nallowed_hosts = [8484]\n")),
    ("any origin", || toml("[guard]\nallowed_origins = [\"*\"]\n")),
    ("origin with a path", || airbyte_proxy("check --guard-allowed-origins http://x/").credentials()),
    ("origin that is wrong within", || toml("[guard]\nallowed_origins = [\"https://a b\"]\n")),
    ("user by name", || variable("AIRBYTE_PROXY_GUARD_SOCKET_UIDS", "1001,etl")),
    ("user below zero", || toml("[guard]\nsocket_uids = [-1]\n")),
    ("folder of keys that is not there", || toml("[guard]\nkeys_dir = \"keys\"\n")),
    ("folder of keys that is a file", || toml("[guard]\nkeys_dir = \"x.toml\"\n")),
    ("folder of keys without a good one", || {
        toml("[guard]\nkeys_dir = \"keys\"\n")
            .file("keys/etl", "hunter2")
            .mode("keys/etl", 0o600)
            .file("keys/.x", "")
    }),
    ("unknown preset", || toml("[policy]\npreset = \"readonly\"\n")),
    ("rule of two words", || toml("[policy]\nrules = [\"deny /connections\"]\n")),
    ("rule in small letters", || variable("AIRBYTE_PROXY_POLICY_RULES", "deny * /tags; allow get /jobs")),
    ("rule with the prefix", || toml("[policy]\nrules = [\"allow GET,POST /v1/jobs\"]\n")),
    ("rule with a star within", || airbyte_proxy("check --policy-rules").arg("allow GET /jo*").credentials()),
    ("rule that is no text", || toml("[policy]\nrules = [1]\n")),
    ("rule for a client, without keys", || toml("[policy]\nrules = [\"allow POST /jobs as etl\"]\n")),
    // --- credentials
    ("none at all", || airbyte_proxy("check --listen 1")),
    ("secret in the file", || credentials("client_id = \"x\"\nclient_secret = \"hunter2-planted\"")),
    ("id without secret", || airbyte_proxy("check").env("AIRBYTE_CLIENT_ID", "x")),
    ("secret without id", || airbyte_proxy("check").env("AIRBYTE_CLIENT_SECRET", "hunter2-planted")),
    ("id by flag, secret by variable", || airbyte_proxy("check --client-id x").credentials()),
    ("empty secret variable", || airbyte_proxy("check").credentials().env("AIRBYTE_CLIENT_SECRET", "")),
    ("secret and secret file", || {
        airbyte_proxy("check").credentials().env("AIRBYTE_CLIENT_SECRET_FILE", "/x")
    }),
    ("secret file and secret command", || {
        credentials("client_id = \"x\"\nclient_secret_file = \"/x\"\nclient_secret_command = [\"cat\"]")
    }),
    ("secret command as one string", || {
        credentials("client_id = \"x\"\nclient_secret_command = \"echo hunter2-planted\"")
    }),
    ("secret command of the current directory", || {
        credentials("client_id = \"x\"\nclient_secret_command = [\"./x\", \"hunter2-planted\"]")
    }),
    ("secret command that fails", || {
        credentials(
            "client_id = \"x\"\nclient_secret_command = [\"sh\", \"-c\", \"echo hunter2-planted >&2; exit 3\"]",
        )
    }),
    ("secret in place of its file", || {
        airbyte_proxy("check")
            .env("AIRBYTE_CLIENT_ID", "x")
            .env("AIRBYTE_CLIENT_SECRET_FILE", "hunter2-planted")
    }),
    ("secret file missing", || credentials("client_id = \"x\"\nclient_secret_file = \"s/secret\"")),
    ("secret file open to all", || secret_file(b"hunter2-planted", 0o644)),
    ("secret file empty", || secret_file(b"\n", 0o600)),
    ("secret file blank", || secret_file(b" \n", 0o600)),
    ("secret file with a NUL", || secret_file(b"hunter2-planted\0", 0o600)),
    ("secret file of two lines", || secret_file(b"hunter2-planted\nx\n", 0o600)),
    ("secret file too large", || secret_file(&b"hunter2-planted ".repeat(5000), 0o600)),
    ("secret file that is a directory", || {
        credentials("client_id = \"x\"\nclient_secret_file = \"s\"").file("s/x", "")
    }),
    // --- the command line
    ("secret on the command line", || airbyte_proxy("--client-secret hunter2-planted --client-id x")),
    ("secret on the command line, joined", || airbyte_proxy("serve --client-secret=hunter2-planted")),
    ("secret after --client-secret-stdin", || {
        airbyte_proxy("--client-id x --client-secret-stdin hunter2-planted")
    }),
    ("blank stdin", || airbyte_proxy("check --client-id x --client-secret-stdin").stdin(" \n")),
    ("unknown flag", || airbyte_proxy("--lisen 8484")),
    ("unknown command", || airbyte_proxy("sevre")),
    ("flag given twice", || airbyte_proxy("--workers 1 --workers 2")),
    ("demo with somebody's Airbyte", || {
        airbyte_proxy("demo --upstream-api-url https://airbyte.corp/v1 --client-id x --token-lifetime 30")
    }),
    // --- all at once
    ("several", || {
        toml("lisen = 1\n[upstream]\napi_url = \"ftp://x\"\n[log]\nlevel = 3\n")
            .env("AIRBYTE_PROXY_DRAIN_DELAY", "-1s")
            .env("AIRBYTE_CLIENT_SECRET_FILE", "/x")
    }),
];

#[test]
fn everything_written_wrongly_ends_with_2_and_says_where_and_what_to_do() {
    let mut all = String::new();
    for (name, call) in CASES {
        let ran = call().run();
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        // Warnings depend on where the test runs.
        let told: Vec<_> = ran.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
        let told = told.join("\n");
        let remedies = ["hint: ", "tip: ", "must be ", "Usage: ", "export "];
        assert!(remedies.iter().any(|remedy| told.contains(remedy)), "{name} names no remedy: {told}");
        let _ = writeln!(all, "# {name}\n{}\n", told.trim_end());
    }
    snapbox::assert_data_eq!(all, snapbox::file!["wrong.txt"].raw());
}
