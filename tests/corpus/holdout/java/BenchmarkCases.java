package test.cases;

import java.beans.XMLDecoder;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.PrintWriter;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.Statement;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.spec.SecretKeySpec;
import javax.naming.directory.DirContext;
import javax.naming.directory.InitialDirContext;
import javax.naming.directory.SearchControls;
import javax.persistence.EntityManager;
import javax.script.ScriptEngine;
import javax.script.ScriptEngineManager;
import javax.servlet.http.Cookie;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.xml.XMLConstants;
import javax.xml.parsers.SAXParser;
import javax.xml.parsers.SAXParserFactory;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamReader;
import javax.xml.xpath.XPath;
import javax.xml.xpath.XPathFactory;
import org.springframework.expression.spel.standard.SpelExpressionParser;
import org.springframework.jdbc.core.JdbcTemplate;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.apache.commons.text.StringEscapeUtils;
import org.xml.sax.helpers.DefaultHandler;

public class BenchmarkCases {
    private Connection con;
    private JdbcTemplate template;
    private EntityManager em;

    void case00001(HttpServletRequest request) throws Exception {
        String param = request.getHeader("X-Case");
        String sql = "SELECT * FROM users WHERE name='" + param + "'";
        Statement st = con.createStatement();
        st.execute(sql);
    }

    void case00002(HttpServletRequest request) throws Exception {
        String param = request.getHeader("X-Case");
        String sql = "SELECT * FROM users WHERE name=?";
        PreparedStatement st = con.prepareStatement(sql);
        st.setString(1, param);
        st.execute();
    }

    void case00003(HttpServletRequest request) throws Exception {
        String bar = "alsosafe";
        Map<String, Object> map = new HashMap<>();
        map.put("a", request.getParameter("p"));
        bar = (String) map.get("a");
        con.prepareStatement("DELETE FROM t WHERE a = '" + bar + "'").execute();
    }

    void case00004(HttpServletRequest request) throws Exception {
        String param = request.getParameter("p");
        String bar;
        int num = 86;
        if ((7 * 42) - num > 200) {
            bar = "This_should_always_happen";
        } else {
            bar = param;
        }
        con.createStatement().executeUpdate("DELETE FROM t WHERE a = '" + bar + "'");
    }

    void case00005(HttpServletRequest request) {
        String order = request.getParameter("order");
        template.queryForList("SELECT * FROM t ORDER BY " + order);
    }

    void case00006(HttpServletRequest request) {
        template.queryForList("SELECT * FROM t WHERE a = ?", request.getParameter("a"));
    }

    List<?> case00007(String owner) {
        return em.createQuery("FROM Account a WHERE a.owner = '" + owner + "'").getResultList();
    }

    List<?> case00008(String owner) {
        return em.createQuery("FROM Account a WHERE a.owner = :o").setParameter("o", owner).getResultList();
    }

    List<?> case00009(String owner) {
        String q = String.format("SELECT * FROM account WHERE owner = '%s'", owner);
        return em.createNativeQuery(q).getResultList();
    }

    void case00010(Cookie cookie) throws Exception {
        CallableStatement call = con.prepareCall("{call audit('" + cookie.getValue() + "')}");
        call.execute();
    }

    void case00011(HttpServletRequest request) throws Exception {
        StringBuilder sb = new StringBuilder("SELECT a FROM t WHERE b = '");
        sb.append(request.getParameter("b")).append("'");
        con.createStatement().executeQuery(sb.toString());
    }

    void case00012() throws Exception {
        StringBuilder sb = new StringBuilder("SELECT a FROM t WHERE b = ");
        sb.append(12);
        con.createStatement().executeQuery("SELECT count(*) FROM t");
    }

    void case00013(HttpServletRequest request) throws Exception {
        String[] args = {"sh", "-c", "echo " + request.getParameter("p")};
        Runtime.getRuntime().exec(args);
    }

    void case00014(HttpServletRequest request) throws Exception {
        ProcessBuilder pb = new ProcessBuilder("bash", "-c", request.getParameter("cmd"));
        pb.start();
    }

    void case00015() throws Exception {
        Runtime.getRuntime().exec(new String[] {"uname", "-a"});
    }

    void case00016(HttpServletRequest request) throws Exception {
        String param = request.getParameter("p");
        param = "fixed";
        Runtime.getRuntime().exec("ls " + param);
    }

    Object case00017(String script) throws Exception {
        ScriptEngine engine = new ScriptEngineManager().getEngineByName("js");
        return engine.eval(script);
    }

    Object case00018(String expr) {
        return new SpelExpressionParser().parseExpression(expr).getValue();
    }

    Object case00019() {
        return new SpelExpressionParser().parseExpression("1 + 1").getValue();
    }

    void case00020(HttpServletRequest request, HttpServletResponse response) throws Exception {
        PrintWriter out = response.getWriter();
        out.write("<b>" + request.getParameter("p") + "</b>");
    }

    void case00021(HttpServletRequest request, HttpServletResponse response) throws Exception {
        String p = StringEscapeUtils.escapeHtml4(request.getParameter("p"));
        response.getWriter().write("<b>" + p + "</b>");
    }

    void case00022(HttpServletRequest request, HttpServletResponse response) throws Exception {
        String p = request.getQueryString();
        response.getWriter().format("<b>%s</b>", p);
    }

    void case00023(HttpServletResponse response) throws Exception {
        response.getWriter().print("<b>ok</b>");
    }

    String case00024(HttpServletRequest request) throws Exception {
        BufferedReader r = new BufferedReader(new FileReader("/data/" + request.getParameter("f")));
        return r.readLine();
    }

    byte[] case00025(HttpServletRequest request) throws Exception {
        Path p = Paths.get("/data", request.getParameter("f"));
        return Files.readAllBytes(p);
    }

    byte[] case00026(HttpServletRequest request) throws Exception {
        Path base = Paths.get("/data").toRealPath();
        Path p = base.resolve(request.getParameter("f")).normalize();
        if (!p.startsWith(base)) {
            throw new IOException("outside");
        }
        return Files.readAllBytes(p);
    }

    InputStream case00027() throws Exception {
        return Files.newInputStream(Paths.get("/data/readme.txt"));
    }

    Object case00028(InputStream in) throws Exception {
        return new ObjectInputStream(in).readObject();
    }

    Object case00029(InputStream in) {
        return new XMLDecoder(in).readObject();
    }

    Object case00030(String text) {
        return new Yaml().load(text);
    }

    Object case00031(String text) {
        return new Yaml(new SafeConstructor()).load(text);
    }

    void case00032(InputStream in) throws Exception {
        SAXParser p = SAXParserFactory.newInstance().newSAXParser();
        p.parse(in, new DefaultHandler());
    }

    void case00033(InputStream in) throws Exception {
        SAXParserFactory f = SAXParserFactory.newInstance();
        f.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true);
        f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        f.newSAXParser().parse(in, new DefaultHandler());
    }

    XMLStreamReader case00034(InputStream in) throws Exception {
        XMLInputFactory f = XMLInputFactory.newInstance();
        return f.createXMLStreamReader(in);
    }

    XMLStreamReader case00035(InputStream in) throws Exception {
        XMLInputFactory f = XMLInputFactory.newInstance();
        f.setProperty(XMLInputFactory.SUPPORT_DTD, false);
        return f.createXMLStreamReader(in);
    }

    void case00036(HttpServletRequest request) throws Exception {
        DirContext ctx = new InitialDirContext();
        String filter = "(cn=" + request.getParameter("cn") + ")";
        ctx.search("dc=test", filter, new SearchControls());
    }

    void case00037() throws Exception {
        DirContext ctx = new InitialDirContext();
        ctx.search("dc=test", "(objectClass=person)", new SearchControls());
    }

    String case00038(String user, Object doc) throws Exception {
        XPath xp = XPathFactory.newInstance().newXPath();
        return xp.evaluate("//user[name='" + user + "']/mail", doc);
    }

    String case00039(Object doc) throws Exception {
        XPath xp = XPathFactory.newInstance().newXPath();
        return xp.evaluate("//user[1]/mail", doc);
    }

    void case00040(HttpServletRequest request) throws Exception {
        HttpURLConnection c = (HttpURLConnection) new URL(request.getParameter("u")).openConnection();
        c.connect();
    }

    void case00041(String u) throws Exception {
        HttpRequest r = HttpRequest.newBuilder(URI.create("https://api.internal.test/v1")).build();
        HttpClient.newHttpClient().send(r, null);
    }

    void case00042(HttpServletRequest request, HttpServletResponse response) {
        response.setHeader("Location", request.getParameter("u"));
        response.setStatus(302);
    }

    void case00043(HttpServletResponse response) {
        response.setHeader("Location", "/start");
        response.setStatus(302);
    }

    byte[] case00044(byte[] d) throws Exception {
        MessageDigest md = MessageDigest.getInstance("SHA1");
        return md.digest(d);
    }

    byte[] case00045(byte[] d) throws Exception {
        return MessageDigest.getInstance("SHA-512").digest(d);
    }

    byte[] case00046(byte[] d) {
        return org.apache.commons.codec.digest.DigestUtils.md5(d);
    }

    Cipher case00047() throws Exception {
        return Cipher.getInstance("RC4");
    }

    Cipher case00048() throws Exception {
        return Cipher.getInstance("AES");
    }

    Cipher case00049() throws Exception {
        return Cipher.getInstance("ChaCha20-Poly1305");
    }

    KeyGenerator case00050() throws Exception {
        return KeyGenerator.getInstance("DES");
    }

    void case00051() throws Exception {
        KeyPairGenerator g = KeyPairGenerator.getInstance("RSA");
        g.initialize(3072);
    }

    String case00052() {
        String token = "t" + Math.random();
        return token;
    }

    int case00053() {
        int otp = ThreadLocalRandom.current().nextInt(999999);
        return otp;
    }

    int case00054() {
        int otp = new SecureRandom().nextInt(999999);
        return otp;
    }

    SecretKeySpec case00055() {
        return new SecretKeySpec("k3y-0f-s1xteen-b".getBytes(), "AES");
    }

    SecretKeySpec case00056() {
        return new SecretKeySpec(System.getenv("APP_KEY").getBytes(), "AES");
    }

    void case00057() {
        String password = "Gr33n-Parrot-41";
        connect("svc", password);
    }

    void case00058(char[] given) {
        String password = new String(given);
        connect("svc", password);
    }

    private void connect(String user, String password) {
        // Runtime.getRuntime().exec("login " + user + password);
        System.out.println(user.length() + password.length());
    }

    File case00059(String name) {
        String bar = doSomething(name);
        return new File("/data/" + bar);
    }

    private static String doSomething(String param) {
        return param + ".txt";
    }
}
