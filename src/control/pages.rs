//! What people read: a page for browsers, five lines for terminals.

use super::Readiness;
use crate::browser::Html;

/// For a terminal.
pub(super) fn help(base: &str) -> String {
    format!(
        "airbyte-proxy: the Airbyte API without tokens. Every request gets a fresh one on its way.\n\
         Base URL of the API:  {base}/v1\n\
         Try:                  curl '{base}/v1/workspaces'   (a whole list: ?limit=all)\n\
         Is it ready?          curl '{base}/-/ready'\n\
         In a browser:         {base}/-/\n"
    )
}

/// For a browser. No script, no request to anywhere, nothing to click that acts.
pub(super) fn home(base: &str, readiness: &Readiness) -> String {
    let base = Html(base);
    let status = readiness.status.as_str();
    let reason = readiness.reason.as_deref().map(|reason| format!(": {}", Html(reason))).unwrap_or_default();
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>airbyte-proxy</title>
</head>
<body>
<h1>airbyte-proxy</h1>
<p>This is the Airbyte API without tokens: what you send here goes to Airbyte with a fresh access token added.</p>
<p>Status: <strong>{status}</strong>{reason} (<a href="/-/ready">details</a>)</p>
<h2>Base URL</h2>
<pre>{base}/v1</pre>
<h2>From a terminal</h2>
<pre>curl '{base}/v1/workspaces'</pre>
<h2>From Python</h2>
<pre>from airbyte_api import AirbyteAPI, api

airbyte = AirbyteAPI(server_url="{base}/v1")
print(airbyte.workspaces.list_workspaces(api.ListWorkspacesRequest()))</pre>
<h2>From anything else</h2>
<p>Wherever a tool asks for the URL of the Airbyte API, give it the base URL above. Where it insists on a token, or on a
client id and secret, anything will do.</p>
</body>
</html>
"#
    )
}
