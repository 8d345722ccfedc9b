import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/**
 * What Airbyte's Java SDK sends requests with: the JDK's own client, as it is without any setting. It wants HTTP/2, so
 * over plain http each request on a new connection asks for an upgrade (h2c), bodies included.
 *
 * <p>java tests/clients/JavaHttpClient.java http://127.0.0.1:8484/v1
 */
public final class JavaHttpClient {
    private final HttpClient client = HttpClient.newHttpClient();
    private final String base;

    private JavaHttpClient(String base) {
        this.base = base;
    }

    public static void main(String[] arguments) throws Exception {
        JavaHttpClient java = new JavaHttpClient(arguments[0]);
        String token = java.send("POST", "/applications/token", "application/x-www-form-urlencoded",
                "grant_type=client_credentials&client_id=any&client_secret=any", 200);
        expect(token.contains("\"access_token\""), "a token");
        java.send("GET", "/workspaces", null, null, 200);
        String source = first(java.send("GET", "/sources?limit=1", null, null, 200), "workspaceId");
        String made = java.send("POST", "/sources", "application/json", "{\"name\":\"java\",\"workspaceId\":\"" + source
                + "\",\"configuration\":{\"sourceType\":\"faker\",\"count\":35}}", 200);
        String path = "/sources/" + first(made, "sourceId");
        java.send("PATCH", path, "application/json", "{\"name\":\"still java\"}", 200);
        java.send("DELETE", path, null, null, 204);
        java.send("GET", path, null, null, 404);
        System.out.println("ok");
    }

    /** A new client each time, so that each request is the one that asks for the upgrade; then the same on a warm one. */
    private String send(String method, String path, String type, String body, int status)
            throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path));
        request.method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
        if (type != null) {
            request.header("Content-Type", type);
        }
        HttpClient cold = HttpClient.newHttpClient();
        HttpResponse<String> answer = cold.send(request.build(), BodyHandlers.ofString());
        expect(answer.statusCode() == status,
                method + " " + path + ": " + status + ", not " + answer.statusCode() + " " + answer.body());
        expect(answer.version() == HttpClient.Version.HTTP_1_1, "HTTP/1.1, not " + answer.version());
        if (method.equals("GET")) {
            HttpResponse<String> again = client.send(request.build(), BodyHandlers.ofString());
            expect(again.statusCode() == status, "the same on a connection that has been used");
        }
        System.out.println(method + " " + path + ": " + status);
        return answer.body();
    }

    private static String first(String json, String field) {
        String before = "\"" + field + "\":\"";
        int from = json.indexOf(before) + before.length();
        return json.substring(from, json.indexOf('"', from));
    }

    private static void expect(boolean condition, String what) {
        if (!condition) {
            System.err.println("not as expected: " + what);
            System.exit(1);
        }
    }
}
