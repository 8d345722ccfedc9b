//! What those who are inside may do.

use super::*;

pub(super) fn rules(list: &[&str]) -> Vec<Rule> {
    list.iter().map(|rule| Rule::parse(rule).expect(rule)).collect()
}

#[test]
fn credentials_are_not_handed_out_by_default() {
    let no = Err(problem::PATH_NOT_ALLOWED);
    for prefix in ["/v1", "/api/public/v1"] {
        for (method, path, expected) in [
            ("GET", "/applications", no),
            ("GET", "/applications/", no),
            ("HEAD", "/applications/abc", no),
            ("OPTIONS", "/applications", no),
            ("POST", "/applications", no),
            ("GET", "//applications", no),
            ("GET", "/%61pplications", no),
            ("GET", "/Applications", no),
            ("GET", "/applications;a=b", no),
            ("GET", "/applications/token/x", no),
            ("POST", "/embedded/widget_token", no),
            ("GET", "/embedded/organizations", no),
            ("POST", "/dataplanes", no),
            ("PATCH", "/dataplanes/1", no),
            ("GET", "/dataplanes", PASS),
            ("GET", "/dataplanes/1", PASS),
            ("GET", "/applicationsx", PASS),
            ("GET", "/jobs/applications", PASS),
            ("GET", "", PASS),
        ] {
            let target = format!("{prefix}{path}");
            assert_eq!(
                verdict(&guard(), &loopback(), &head(method, &target, &[])),
                expected,
                "{method} {target}"
            );
        }
    }
    let detail = refusal(&guard(), &head("GET", "/v1/applications/7?secret=x", &[])).detail().to_owned();
    assert!(detail.contains(r#"policy.rules = ["allow GET /applications/**"]"#), "{detail}");
    assert!(!detail.contains("secret=x"), "{detail}");
}

#[test]
fn token_paths_are_beyond_the_policy_but_not_beyond_the_guard() {
    let strict = guard_with(|config| {
        config.policy.access = Access::ReadOnly;
        config.policy.rules = rules(&["deny * /**"]);
    });
    for path in crate::airbyte::paths::TOKEN_PATHS {
        let admitted = strict.check(&loopback(), &head("POST", path, &[])).expect("admitted");
        assert_eq!(admitted.route, Route::Token);
        let rebound = head("POST", path, &[("host", "evil.example")]);
        assert_eq!(verdict(&strict, &loopback(), &rebound), Err(problem::HOST_NOT_ALLOWED));
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let guard = guard_with(|config| {
        config.policy.rules = rules(&[
            "allow GET /applications/*",
            "deny * /applications/**",
            "deny DELETE /**",
            "deny GET /sources/**",
            "allow * /embedded/scoped_token",
            "allow POST /secrets/get",
        ]);
    });
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard,
        &[
            ("GET", "/v1/applications/1", &[], PASS),
            ("HEAD", "/v1/applications/1", &[], PASS),
            ("GET", "/api/public/v1/applications/1", &[], PASS),
            ("GET", "/v1/applications", &[], no),
            ("DELETE", "/v1/sources/1", &[], no),
            ("POST", "/v1/sources", &[], PASS),
            ("GET", "/v1/Sources;a/1", &[], no),
            ("GET", "/v1/s%6Furces/1", &[], no),
            ("POST", "/v1/Embedded/scoped_token", &[], no),
            ("POST", "/v1/embedded/scoped_token", &[], PASS),
            ("POST", "/v1/embedded/widget_token", &[], no),
            ("POST", "/api/v1/secrets/get", &[], PASS),
        ],
    );
    let refused = refusal(&guard, &head("DELETE", "/v1/sources/1", &[]));
    assert_eq!(refused.rule(), "policy.rules[2]");
    assert!(refused.detail().contains("DELETE /sources/1") && refused.detail().contains("deny DELETE /**"));
}

#[test]
fn read_only_and_sync_only_take_away_whatever_rules_say() {
    let with = |access| {
        guard_with(|config| {
            config.policy.access = access;
            config.policy.rules = rules(&["allow * /**"]);
        })
    };
    let (method, path) = (Err(problem::METHOD_NOT_ALLOWED), Err(problem::PATH_NOT_ALLOWED));
    for (verb, target, read_only, sync_only) in [
        ("GET", "/v1/jobs", PASS, PASS),
        ("HEAD", "/v1/jobs", PASS, PASS),
        ("OPTIONS", "/v1/jobs", PASS, PASS),
        ("POST", "/v1/jobs", method, PASS),
        ("POST", "/v1/jobs/", method, PASS),
        ("DELETE", "/v1/jobs/1", method, PASS),
        ("DELETE", "/v1/jobs", method, path),
        ("POST", "/v1/jobs/1", method, path),
        ("POST", "/v1/Jobs", method, path),
        ("POST", "/v1/sources", method, path),
        ("PATCH", "/v1/jobs/1", method, path),
        ("get", "/v1/jobs", method, path),
        ("BREW", "/v1/jobs", method, path),
        ("POST", "/api/v1/connections/get", PASS, PASS),
        ("POST", "/api/v1/anything/list", PASS, PASS),
        ("POST", "/api/v1/state/get", PASS, PASS),
        ("POST", "/api/v1/workspaces/list_by_organization_id", PASS, PASS),
        ("POST", "/api/v1/users/get_or_create_by_auth_id", path, path),
        ("POST", "/api/v1/connections/sync", path, PASS),
        ("POST", "/api/v1/jobs/cancel", path, PASS),
        ("POST", "/api/v1/jobs", path, path),
        ("POST", "/api/v1/connections/delete", path, path),
        ("POST", "/api/v1/sources/check_connection", path, path),
        ("POST", "/-/quit", PASS, PASS),
    ] {
        let request = head(verb, target, &[]);
        assert_eq!(verdict(&with(Access::ReadOnly), &loopback(), &request), read_only, "{verb} {target}");
        assert_eq!(verdict(&with(Access::SyncOnly), &loopback(), &request), sync_only, "{verb} {target}");
    }
    let refused = refusal(&with(Access::ReadOnly), &head("POST", "/v1/jobs", &[]));
    assert_eq!(refused.allow(), Some("GET, HEAD, OPTIONS"));
    assert!(refused.detail().contains("read_only = true"), "{refused}");
}

#[test]
fn reading_needs_no_less_than_the_defaults() {
    let guard = guard_with(|config| config.policy.access = Access::ReadOnly);
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard,
        &[
            ("GET", "/v1/applications", &[], no),
            ("POST", "/api/v1/secrets_persistence_config/get", &[], no),
            // The header is not forwarded, so it does not matter here.
            ("GET", "/v1/jobs", &[("x-http-method-override", "DELETE")], PASS),
        ],
    );
}

#[test]
fn a_ceiling_caps_the_users_rules_and_says_so() {
    let guard = guard_with(|config| {
        config.policy.rules = rules(&["allow * /**"]);
        config.policy.ceiling = Some(Ceiling {
            rules: rules(&["allow DELETE /jobs/*", "deny DELETE /**", "allow GET /applications"]),
            source: "/etc/airbyte-proxy/policy.toml".to_owned(),
            ..Ceiling::default()
        });
    });
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard,
        &[
            ("DELETE", "/v1/sources/1", &[], no),
            ("DELETE", "/v1/jobs/1", &[], PASS),
            ("POST", "/v1/x", &[], PASS),
        ],
    );
    let refused = refusal(&guard, &head("DELETE", "/v1/sources/1", &[]));
    assert!(refused.detail().contains("capped by /etc/airbyte-proxy/policy.toml"), "{refused}");
    assert_eq!(refused.rule(), "policy ceiling rules[1]");

    let capped = guard_with(|config| {
        config.policy.ceiling =
            Some(Ceiling { access: Access::ReadOnly, rules: rules(&["allow * /**"]), ..Ceiling::default() });
    });
    expect_all(
        &capped,
        &[
            ("POST", "/v1/jobs", &[], Err(problem::METHOD_NOT_ALLOWED)),
            ("GET", "/v1/applications", &[], no),
            ("GET", "/v1/jobs", &[], PASS),
        ],
    );
}

#[test]
fn a_ceiling_can_hold_the_default_denials_down() {
    let guard = guard_with(|config| {
        config.policy.rules = rules(&["allow * /**"]);
        config.policy.ceiling =
            Some(Ceiling { allow_credentials: false, source: "p".to_owned(), ..Ceiling::default() });
    });
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard,
        &[
            ("GET", "/v1/applications", &[], no),
            ("POST", "/v1/embedded/widget_token", &[], no),
            ("POST", "/api/v1/applications/list", &[], no),
            ("POST", "/api/v1/connections/get", &[], PASS),
            ("POST", "/v1/sources", &[], PASS),
        ],
    );
    let refused = refusal(&guard, &head("GET", "/v1/applications", &[]));
    assert!(refused.detail().contains("no rule may allow it; capped by p"), "{refused}");
    assert_eq!(refused.rule(), "policy ceiling");
}

#[test]
fn below_a_ceiling_that_restricts_nobody_gets_the_bare_token() {
    let with = |ceiling: Option<Ceiling>| Policy { ceiling, ..Policy::default() };
    let source = || "p".to_owned();
    for ceiling in [None, Some(Ceiling { source: source(), ..Ceiling::default() })] {
        assert_eq!(with(ceiling).keeps_token(), None);
    }
    for ceiling in [
        Ceiling { access: Access::SyncOnly, source: source(), ..Ceiling::default() },
        Ceiling { rules: rules(&["deny * /tags"]), source: source(), ..Ceiling::default() },
        Ceiling { allow_credentials: false, source: source(), ..Ceiling::default() },
    ] {
        assert_eq!(with(Some(ceiling)).keeps_token(), Some("p"));
    }
}

#[test]
fn a_sweeping_rule_that_lifts_default_denials_is_noticed() {
    let sweeping = |list: &[&str]| {
        let policy = Policy { rules: rules(list), ..Policy::default() };
        policy.sweeping().map(ToString::to_string)
    };
    for list in [&["allow GET /**"][..], &["allow * /*/**"], &["deny * /tags", "allow POST /** as etl"]] {
        assert_eq!(sweeping(list).as_deref(), list.last().copied(), "{list:?}");
    }
    for list in [
        &["allow GET /applications/**"][..],
        &["deny * /applications/**", "allow GET /**"],
        &["deny * /**", "allow GET /**"],
        &["allow * /jobs/**"],
        &["allow * /*"],
        &[],
    ] {
        assert_eq!(sweeping(list), None, "{list:?}");
    }
}

#[test]
fn of_the_configuration_api_only_what_known_clients_call_passes() {
    let no = Err(problem::PATH_NOT_ALLOWED);
    expect_all(
        &guard(),
        &[
            ("POST", "/api/v1/connections/get", &[], PASS),
            ("POST", "/api/v1/web_backend/connections/update", &[], PASS),
            ("POST", "/api/v1/sources/discover_schema", &[], PASS),
            ("POST", "/api/v1//connections/get/", &[], PASS),
            ("GET", "/api/v1/connections/get", &[], no),
            ("POST", "/api/v1/Connections/get", &[], no),
            ("POST", "/api/v1/connections/get/x", &[], no),
            ("POST", "/api/v1/applications/list", &[], no),
            ("POST", "/api/v1", &[], no),
        ],
    );
    let detail = refusal(&guard(), &head("POST", "/api/v1/tags/list", &[])).detail().to_owned();
    assert!(detail.contains(r#"policy.rules = ["allow POST /tags/list"]"#), "{detail}");
    let wild = refusal(&guard(), &head("POST", "/api/v1/**", &[])).detail().to_owned();
    assert!(!wild.contains("allow POST"), "a request must not be able to suggest a broad rule: {wild}");

    let closed = guard_with(|config| config.config_api = false);
    let refused = refusal(&closed, &head("POST", "/api/v1/connections/get", &[]));
    assert_eq!(refused.kind(), problem::UNKNOWN_PATH);
    assert!(refused.detail().contains("upstream.config_api_url"), "{refused}");
}

#[test]
fn wrong_rules_say_what_is_wrong() {
    for (text, error) in [
        ("", RuleError::Shape),
        ("allow /jobs", RuleError::Shape),
        ("permit GET /jobs", RuleError::Effect),
        ("allow get /jobs", RuleError::Method),
        ("allow GET, POST /jobs", RuleError::Shape),
        ("allow GET,,POST /jobs", RuleError::Method),
        ("allow GET /jobs as", RuleError::Shape),
        ("allow GET /jobs for etl", RuleError::Shape),
        ("allow GET /jobs as etl, bi", RuleError::Shape),
        ("allow GET /jobs as etl,", RuleError::Client),
        ("allow GET /jobs as .etl", RuleError::Client),
        ("allow GET /v1/jobs", RuleError::Pattern(PatternError::Prefix)),
    ] {
        assert_eq!(Rule::parse(text), Err(error), "{text}");
    }
    for text in ["allow GET,HEAD /jobs/*", "deny * /**", "deny * /jobs as bi,etl"] {
        assert_eq!(Rule::parse(text).expect(text).to_string(), text);
    }
}
