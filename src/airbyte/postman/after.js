// What the proxy's policy keeps closed is answered too, with a refusal.
const closed = (pm.response.headers.get("Proxy-Status") || "").includes("path-not-allowed");
pm.test(closed ? "closed by the policy of this proxy" : "succeeds", () => {
    if (!closed) pm.expect(pm.response.code).to.be.within(200, 399);
});
