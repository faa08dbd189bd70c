"""A client in Python, with the HTTP client of its library."""
import http.client
import json
import os

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["KAR_RUNTIME_PORT"]))


def expect(status, body, method, path, content=None, **headers):
    connection.request(method, "/kar/v1/" + path, content, {"Content-Type": "application/kar+json", **headers})
    response = connection.getresponse()
    text = response.read().decode().strip()
    assert (response.status, text) == (status, body), f"{method} {path}: got {response.status} {text}, want {status} {body}"


actor = "actor/Counter/python"
expect(200, '{"value":1}', "POST", actor + "/call/add", "[1]")
# Arguments by name, as KAR's Python SDK sends them, are passed on as they are.
expect(200, '{"value":2}', "POST", actor + "/call/add", json.dumps({"args": [1], "kwargs": {}}))
expect(202, "OK", "POST", actor + "/call/add", "[1]", Pragma="async")
expect(200, '{"value":4}', "POST", actor + "/call/add", "[1]")
expect(200, '{"n":4}', "GET", actor + "/state")
expect(201, "", "PUT", actor + "/state/m/k", "1")
expect(200, '["k"]', "POST", actor + "/state/m", '{"op":"keys"}')
expect(200, "1", "DELETE", actor + "/state")
expect(200, "OK", "GET", "system/health")
print("ok")
