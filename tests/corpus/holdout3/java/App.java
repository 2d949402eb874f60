package org.example.clinic;

import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.X509Certificate;
import java.sql.*;
import java.util.*;
import javax.crypto.Cipher;
import javax.crypto.spec.*;
import javax.naming.directory.*;
import javax.net.ssl.*;
import javax.persistence.EntityManager;
import javax.script.*;
import javax.servlet.http.*;
import javax.xml.parsers.*;
import javax.xml.stream.XMLInputFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.xpath.*;
import org.springframework.expression.spel.standard.SpelExpressionParser;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.web.bind.annotation.*;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.servlet.view.RedirectView;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.thoughtworks.xstream.XStream;

@RestController
public class App {
    private static final String DB_PASSWORD = "clinic#2023Prod";
    private static final String PASSWORD_FIELD = "password";
    private final JdbcTemplate jdbc;
    private final EntityManager em;

    App(JdbcTemplate jdbc, EntityManager em) {
        this.jdbc = jdbc;
        this.em = em;
    }

    @GetMapping("/patients")
    public List<Map<String, Object>> patients(@RequestParam String name) {
        return jdbc.queryForList("SELECT * FROM patients WHERE name = '" + name + "'");
    }

    @GetMapping("/patients2")
    public List<Map<String, Object>> patientsSafe(@RequestParam String name) {
        return jdbc.queryForList("SELECT * FROM patients WHERE name = ?", name);
    }

    @GetMapping("/visits")
    public List<?> visits(@RequestParam String doctor) {
        return em.createQuery("from Visit v where v.doctor = '" + doctor + "'").getResultList();
    }

    public List<?> visitsSafe(String doctor) {
        return em.createQuery("from Visit v where v.doctor = :d").setParameter("d", doctor).getResultList();
    }

    public ResultSet bills(Connection c, HttpServletRequest request) throws SQLException {
        String sql = String.format("SELECT * FROM bills WHERE id = %s", request.getParameter("id"));
        PreparedStatement st = c.prepareStatement(sql);
        return st.executeQuery();
    }

    public ResultSet billsBuilder(Statement st, HttpServletRequest request) throws SQLException {
        StringBuilder sb = new StringBuilder("SELECT * FROM bills WHERE 1=1");
        sb.append(" AND owner = '").append(request.getParameter("owner")).append("'");
        return st.executeQuery(sb.toString());
    }

    @PostMapping("/ping")
    public String ping(@RequestParam String host) throws IOException {
        Process p = new ProcessBuilder("sh", "-c", "ping -c 1 " + host).start();
        return new String(p.getInputStream().readAllBytes());
    }

    @PostMapping("/ping2")
    public String pingSafe(@RequestParam String host) throws IOException {
        Process p = new ProcessBuilder("ping", "-c", "1", "--", host).start();
        return new String(p.getInputStream().readAllBytes());
    }

    public void archive(HttpServletRequest request) throws IOException {
        String dir = request.getParameter("dir");
        String[] cmd = {"/bin/bash", "-c", "tar cf /tmp/a.tar " + dir};
        Runtime.getRuntime().exec(cmd);
    }

    @GetMapping("/eval")
    public Object script(@RequestParam String expr) throws ScriptException {
        ScriptEngine engine = new ScriptEngineManager().getEngineByName("js");
        return engine.eval(expr);
    }

    @GetMapping("/spel")
    public Object spel(@RequestParam String expr) {
        return new SpelExpressionParser().parseExpression(expr).getValue();
    }

    @GetMapping("/report")
    public byte[] report(@RequestParam String name) throws IOException {
        return Files.readAllBytes(Paths.get("/srv/reports/" + name));
    }

    @GetMapping("/report2")
    public byte[] reportSafe(@RequestParam String name) throws IOException {
        Path root = Paths.get("/srv/reports").toRealPath();
        Path p = root.resolve(name).normalize();
        if (!p.startsWith(root)) throw new SecurityException();
        return Files.readAllBytes(p);
    }

    protected void doGet(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        File f = new File("/srv/scans", req.getParameter("scan"));
        resp.getOutputStream().write(new FileInputStream(f).readAllBytes());
    }

    protected void doPost(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        String name = req.getParameter("name");
        PrintWriter out = resp.getWriter();
        out.println("<p>Welcome " + name + "</p>");
    }

    protected void doPut(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        resp.getWriter().println("<p>" + org.owasp.encoder.Encode.forHtml(req.getParameter("name")) + "</p>");
    }

    @PostMapping("/import")
    public Object importState(@RequestBody byte[] body) throws Exception {
        ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(body));
        return in.readObject();
    }

    public Object fromXml(String xml) {
        XStream xs = new XStream();
        return xs.fromXML(xml);
    }

    public Object fromYaml(String text) {
        return new Yaml().load(text);
    }

    public Object fromYamlSafe(String text) {
        return new Yaml(new SafeConstructor()).load(text);
    }

    public ObjectMapper mapper() {
        ObjectMapper m = new ObjectMapper();
        m.enableDefaultTyping();
        return m;
    }

    public org.w3c.dom.Document parse(InputStream in) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        return f.newDocumentBuilder().parse(in);
    }

    public org.w3c.dom.Document parseSafe(InputStream in) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return f.newDocumentBuilder().parse(in);
    }

    public Object stream(InputStream in) throws Exception {
        XMLInputFactory f = XMLInputFactory.newFactory();
        return f.createXMLStreamReader(in);
    }

    public NamingEnumerationHolder lookup(DirContext ctx, HttpServletRequest req) throws Exception {
        String filter = "(&(objectClass=user)(cn=" + req.getParameter("cn") + "))";
        return new NamingEnumerationHolder(ctx.search("ou=staff", filter, new SearchControls()));
    }

    public Object xpath(org.w3c.dom.Document doc, HttpServletRequest req) throws Exception {
        XPath xp = XPathFactory.newInstance().newXPath();
        return xp.evaluate("//user[@name='" + req.getParameter("u") + "']", doc);
    }

    public byte[] digest(String password) throws Exception {
        return MessageDigest.getInstance("MD5").digest(password.getBytes());
    }

    public byte[] digestSafe(byte[] data) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(data);
    }

    public byte[] seal(byte[] key, byte[] data) throws Exception {
        Cipher c = Cipher.getInstance("DES/CBC/PKCS5Padding");
        c.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "DES"));
        return c.doFinal(data);
    }

    public Cipher ecb() throws Exception {
        return Cipher.getInstance("AES");
    }

    public Cipher gcm() throws Exception {
        return Cipher.getInstance("AES/GCM/NoPadding");
    }

    public String token() {
        return Long.toHexString(new Random().nextLong());
    }

    public String tokenSafe() {
        return Long.toHexString(new SecureRandom().nextLong());
    }

    public void trustAll() throws Exception {
        SSLContext ctx = SSLContext.getInstance("TLS");
        ctx.init(null, new TrustManager[] {new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String a) {}
            public void checkServerTrusted(X509Certificate[] c, String a) {}
            public X509Certificate[] getAcceptedIssuers() { return null; }
        }}, null);
        HttpsURLConnection.setDefaultHostnameVerifier((h, s) -> true);
    }

    @GetMapping("/fetch")
    public String fetch(@RequestParam String url) {
        return new RestTemplate().getForObject(url, String.class);
    }

    @GetMapping("/fetch2")
    public InputStream fetch2(HttpServletRequest req) throws IOException {
        return new URL(req.getParameter("src")).openStream();
    }

    @GetMapping("/fetch3")
    public String fetchSafe(@RequestParam int id) {
        return new RestTemplate().getForObject("https://lab.example.org/results/{id}", String.class, id);
    }

    @GetMapping("/out")
    public RedirectView out(@RequestParam String next) {
        return new RedirectView(next);
    }

    @GetMapping("/out2")
    public String out2(@RequestParam String next) {
        return "redirect:" + next;
    }

    @PostMapping("/upload")
    public void upload(@RequestParam MultipartFile file) throws IOException {
        file.transferTo(new File("/var/www/html/" + file.getOriginalFilename()));
    }

    static class NamingEnumerationHolder {
        NamingEnumerationHolder(Object o) {}
    }
}
