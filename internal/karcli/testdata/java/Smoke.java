// A client in Java, with the HTTP client of its library: it speaks HTTP/1.1 and
// offers HTTP/2 by upgrade, which need not be taken.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Smoke {
    static final HttpClient client = HttpClient.newHttpClient();
    static final String base = "http://127.0.0.1:" + System.getenv("KAR_RUNTIME_PORT") + "/kar/v1/";

    static void expect(int status, String body, String method, String path, String content, String... headers) throws Exception {
        HttpRequest.Builder b = HttpRequest.newBuilder(URI.create(base + path)).header("Content-Type", "application/kar+json")
            .method(method, content.isEmpty() ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(content));
        if (headers.length > 0) {
            b.headers(headers);
        }
        HttpResponse<String> r = client.send(b.build(), HttpResponse.BodyHandlers.ofString());
        if (r.statusCode() != status || body != null && !r.body().trim().equals(body)) {
            throw new Exception(method + " " + path + ": got " + r.statusCode() + " " + r.body() + ", want " + status + " " + body);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String actor = "actor/Counter/java";
        expect(200, "{\"value\":1}", "POST", actor + "/call/add", "[1]");
        expect(200, "{\"value\":2}", "POST", actor + "/call/add", "[1]");
        expect(202, "OK", "POST", actor + "/call/add", "[1]", "Pragma", "async");
        expect(200, "{\"value\":4}", "POST", actor + "/call/add", "[1]");
        expect(200, "{\"n\":4}", "GET", actor + "/state", "");
        expect(201, "", "PUT", actor + "/state/k", "\"v\"");
        expect(204, "", "PUT", actor + "/state/k", "\"w\"");
        expect(200, "\"w\"", "GET", actor + "/state/k", "");
        expect(404, "Not Found", "GET", actor + "/state/none", "");
        expect(200, "1", "DELETE", actor + "/state", "");
        expect(200, "OK", "GET", "system/health", "");
        System.out.println("ok");
    }
}
