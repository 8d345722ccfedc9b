//! The collection against the table, and what a run of it may do.

use std::collections::BTreeMap;

use super::*;

fn collection() -> Value {
    serde_json::from_str(&postman("http://localhost:1")).expect("JSON")
}

/// Every request, in the order of a run, with its folder.
fn requests(collection: &Value) -> Vec<(&str, &Value)> {
    let folders = collection["item"].as_array().expect("folders");
    let mut requests = Vec::new();
    for folder in folders {
        let items = folder["item"].as_array().expect("items");
        requests.extend(items.iter().map(|item| (text(&folder["name"]), item)));
    }
    requests
}

fn place(request: &Value) -> (String, String) {
    let path = request["url"]["path"].as_array().expect("a path").iter().map(text);
    let path = path.map(|part| part.strip_prefix(':').map_or(part.to_owned(), |name| format!("{{{name}}}")));
    (text(&request["method"]).to_owned(), format!("/{}", path.collect::<Vec<_>>().join("/")))
}

#[test]
fn every_operation_is_there_once_in_the_folder_of_its_tag() {
    let collection = collection();
    let requests = requests(&collection);
    assert_eq!(requests.len(), endpoints().len());
    let there: BTreeMap<_, _> =
        requests.iter().map(|(folder, item)| (place(&item["request"]), *folder)).collect();
    for endpoint in endpoints() {
        let folder = there.get(&(endpoint.method.to_owned(), endpoint.path.to_owned()));
        let expected = if endpoint.method == "DELETE" { LAST } else { endpoint.tag };
        assert_eq!(folder, Some(&expected), "{}", endpoint.operation);
    }
    assert_eq!(
        collection["variable"][0],
        json!({ "key": "baseUrl", "value": "http://localhost:1/v1", "type": "string" })
    );
    assert_eq!(collection["auth"], json!({ "type": "noauth" }));
}

#[test]
fn only_what_was_created_is_changed_or_deleted() {
    let collection = collection();
    for (_, item) in requests(&collection) {
        let request = &item["request"];
        if request["method"] == "GET" {
            continue;
        }
        for variable in request["url"]["variable"].as_array().expect("variables") {
            let value = text(&variable["value"]);
            let harmless =
                value.starts_with("{{new") || ["source", "airtable", "{{userId}}"].contains(&value);
            assert!(harmless, "{} {value}", request["url"]["raw"]);
        }
    }
}

#[test]
fn optional_parameters_are_off_and_required_ones_are_in_the_url() {
    let collection = collection();
    let raw = |name: &str| {
        let all = requests(&collection);
        let (_, item) = all.iter().find(|(_, item)| item["name"] == name).expect(name);
        text(&item["request"]["url"]["raw"]).to_owned()
    };
    assert_eq!(raw("List workspaces"), "{{baseUrl}}/workspaces");
    assert_eq!(raw("List the streams of a source"), "{{baseUrl}}/streams?sourceId={{sourceId}}");
    assert_eq!(raw("List all connectors of a type"), "{{baseUrl}}/connector_definitions?type=source");
    assert_eq!(raw("Show a job"), "{{baseUrl}}/jobs/:jobId");
}

#[test]
fn variables_of_different_things_differ() {
    for (path, name, expected) in [
        ("/permissions/{permissionId}", "permissionId", "permissionId"),
        ("/groups/{groupId}/permissions", "permissionId", "groupPermissionId"),
        ("/workspaces/{workspaceId}/definitions/sources", "definitionId", "sourceDefinitionId"),
        (
            "/workspaces/{workspaceId}/definitions/declarative_sources/{definitionId}",
            "definitionId",
            "declarativeSourceDefinitionId",
        ),
    ] {
        assert_eq!(variable(path, name), expected);
    }
    assert_eq!(new("sourceId"), "newSourceId");
}

#[test]
fn lists_and_creations_bring_ids_and_nothing_else_does() {
    let brings = |operation: &str| {
        let endpoint = endpoints().iter().find(|endpoint| endpoint.operation == operation).expect(operation);
        remembers(endpoint).map(|lines| lines[2..].concat())
    };
    let jobs =
        "const id = row && (row.jobId || row.id);if (id) pm.collectionVariables.set(\"newJobId\", id);";
    assert_eq!(brings("createJob").as_deref(), Some(jobs));
    for operation in [
        "listUsersWithinAnOrganization",
        "listOrganizationsForUser",
        "createSourceDefinition",
        "listApplications",
    ] {
        assert!(brings(operation).is_some(), "{operation}");
    }
    for operation in [
        "getSource",
        "createAccessToken",
        "listGroupMembers",
        "addGroupMember",
        "getStreamProperties",
        "initiateOAuth",
    ] {
        assert_eq!(brings(operation), None, "{operation}");
    }
}
