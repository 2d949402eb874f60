package org.acme.shop.web;

import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.*;
import java.sql.*;
import java.util.*;
import java.util.logging.Logger;
import java.util.stream.Collectors;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.naming.NamingEnumeration;
import javax.naming.directory.*;
import javax.net.ssl.*;
import javax.servlet.ServletException;
import javax.servlet.annotation.WebServlet;
import javax.servlet.http.*;
import javax.xml.parsers.*;
import javax.xml.transform.TransformerFactory;
import javax.xml.xpath.*;
import org.w3c.dom.Document;

@WebServlet("/shop/*")
public class ServletCases extends HttpServlet {
    private static final Logger LOG = Logger.getLogger(ServletCases.class.getName());
    private static final String TABLE = "orders";
    private static final Set<String> COLUMNS = Set.of("id", "created", "total");
    private DataSourceHolder ds;
    private File base = new File("/srv/shop/files");
    private String lastName;

    static class Criteria {
        String name;
        String sort;
        int limit;

        Criteria(String name, String sort, int limit) {
            this.name = name;
            this.sort = sort;
            this.limit = limit;
        }

        String getName() { return name; }
        int getLimit() { return limit; }
    }

    private String first(Map<String, String[]> m, String key) {
        String[] v = m.get(key);
        return v == null || v.length == 0 ? "" : v[0];
    }

    private String decorate(String s) {
        return "%" + s.trim() + "%";
    }

    private String idText(String s) {
        long n = Long.parseLong(s);
        return Long.toString(n);
    }

    @Override
    protected void doGet(HttpServletRequest req, HttpServletResponse resp) throws ServletException, IOException {
        try {
            String name = first(req.getParameterMap(), "name");
            Statement st = ds.get().createStatement();
            ResultSet rs = st.executeQuery("SELECT id FROM " + TABLE + " WHERE name LIKE '" + decorate(name) + "'");
            while (rs.next()) {
                resp.getWriter().println(rs.getInt(1));
            }
            ResultSet r2 = st.executeQuery("SELECT id FROM " + TABLE + " WHERE id = " + idText(req.getParameter("id")));
            r2.close();
            Criteria c = new Criteria(req.getParameter("name"), req.getParameter("sort"), 10);
            st.executeQuery("SELECT * FROM orders WHERE name = '" + c.getName() + "'");
            st.executeQuery("SELECT * FROM orders LIMIT " + c.getLimit());
        } catch (SQLException e) {
            throw new ServletException(e);
        }
    }

    protected void doPost(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        String sort = req.getParameter("sort");
        StringBuilder sb = new StringBuilder("SELECT * FROM orders");
        sb.append(" WHERE total > 0");
        if (COLUMNS.contains(sort)) {
            sb.append(" ORDER BY ").append(sort);
        }
        try (PreparedStatement ps = ds.get().prepareStatement(sb.toString())) {
            ps.execute();
        } catch (SQLException e) {
            LOG.severe("failed");
        }
        StringBuilder other = new StringBuilder("SELECT * FROM orders");
        if (sort != null && !sort.isEmpty()) {
            other.append(" ORDER BY ").append(sort);
        }
        try (PreparedStatement ps = ds.get().prepareStatement(other.toString())) {
            ps.execute();
        } catch (SQLException e) {
            LOG.severe("failed");
        }
    }

    void remember(HttpServletRequest req) {
        this.lastName = req.getHeader("X-Name");
    }

    void search(Connection con, HttpServletRequest req) throws SQLException {
        remember(req);
        con.createStatement().executeUpdate("UPDATE seen SET name = '" + this.lastName + "'");
        String sql = "SELECT * FROM users WHERE name = ? AND pw = ?";
        PreparedStatement ps = con.prepareStatement(sql);
        ps.setString(1, this.lastName);
    }

    void listQuery(Connection con, HttpServletRequest req) throws SQLException {
        List<String> conditions = new ArrayList<>();
        for (String n : req.getParameterValues("tag")) {
            conditions.add("tag = '" + n + "'");
        }
        String where = String.join(" OR ", conditions);
        con.createStatement().executeQuery("SELECT * FROM tags WHERE " + where);
        String marks = Arrays.stream(req.getParameterValues("tag")).map(t -> "?").collect(Collectors.joining(","));
        PreparedStatement ps = con.prepareStatement("SELECT * FROM tags WHERE tag IN (" + marks + ")");
        ps.execute();
    }

    void ping(HttpServletRequest req) throws IOException {
        String host = req.getParameter("host");
        String[] cmd = {"/bin/sh", "-c", "ping -c 1 " + host};
        Runtime.getRuntime().exec(cmd);
        if (!host.matches("[a-z0-9.]+")) {
            return;
        }
        Runtime.getRuntime().exec(new String[] {"/bin/sh", "-c", "ping -c 1 " + host});
    }

    void convert(HttpServletRequest req) throws IOException {
        List<String> args = new ArrayList<>();
        args.add("bash");
        args.add("-c");
        args.add("convert " + req.getParameter("file") + " out.png");
        ProcessBuilder pb = new ProcessBuilder(args);
        pb.start();
        ProcessBuilder safe = new ProcessBuilder("convert", "-size", "100x100", "in.png", "out.png");
        safe.start();
    }

    void tool(HttpServletRequest req) throws IOException {
        String tool;
        switch (req.getParameter("tool")) {
            case "resize": tool = "/opt/bin/resize"; break;
            case "crop": tool = "/opt/bin/crop"; break;
            default: throw new IllegalArgumentException("tool");
        }
        new ProcessBuilder(tool, "--quiet").start();
        Process p = new ProcessBuilder(req.getParameter("tool"), "--quiet").start();
    }

    byte[] download(HttpServletRequest req) throws IOException {
        String name = req.getParameter("file");
        File f = new File(base, name);
        return Files.readAllBytes(f.toPath());
    }

    byte[] downloadSafe(HttpServletRequest req) throws IOException {
        File f = new File(base, req.getParameter("file"));
        if (!f.getCanonicalPath().startsWith(base.getCanonicalPath() + File.separator)) {
            throw new FileNotFoundException();
        }
        return Files.readAllBytes(f.toPath());
    }

    void stream(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        try (InputStream in = new FileInputStream("/srv/docs/" + req.getPathInfo())) {
            in.transferTo(resp.getOutputStream());
        }
        String id = UUID.fromString(req.getParameter("id")).toString();
        try (InputStream in = new FileInputStream("/srv/docs/" + id + ".pdf")) {
            in.transferTo(resp.getOutputStream());
        }
        String shown = Paths.get(req.getParameter("n")).getFileName().toString();
        try (InputStream in = Files.newInputStream(Paths.get("/srv/docs", shown))) {
            in.transferTo(resp.getOutputStream());
        }
    }

    void hello(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        PrintWriter out = resp.getWriter();
        resp.setContentType("text/html");
        out.println("<h1>Hello</h1>");
        String n = req.getParameter("n");
        out.printf("<p>%s</p>%n", n);
        out.println("<p>" + org.owasp.encoder.Encode.forHtml(n) + "</p>");
        out.write(String.format("<b>%s</b>", Optional.ofNullable(n).orElse("nobody")));
        out.write(String.format("<b>%d</b>", Integer.valueOf(n)));
    }

    void go(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        String next = req.getParameter("next");
        if (next == null) {
            next = "/home";
        }
        resp.sendRedirect(next);
    }

    void goSafe(HttpServletRequest req, HttpServletResponse resp) throws IOException {
        String next = req.getParameter("next");
        if (next == null || !next.startsWith("/") || next.startsWith("//")) {
            next = "/home";
        }
        resp.sendRedirect(next);
    }

    void location(HttpServletRequest req, HttpServletResponse resp) {
        resp.setStatus(302);
        resp.setHeader("Location", req.getParameter("u"));
        resp.setHeader("X-Trace", "t-" + Integer.parseInt(req.getParameter("t")));
    }

    String fetch(HttpServletRequest req) throws IOException {
        URL u = new URL(req.getParameter("url"));
        HttpURLConnection con = (HttpURLConnection) u.openConnection();
        return new String(con.getInputStream().readAllBytes());
    }

    String fetchSafe(HttpServletRequest req) throws IOException {
        URI u = URI.create("https://api.acme.test/v1/items/" + URLEncoder.encode(req.getParameter("id"), "UTF-8"));
        HttpURLConnection con = (HttpURLConnection) u.toURL().openConnection();
        return new String(con.getInputStream().readAllBytes());
    }

    boolean login(HttpServletRequest req, DirContext ctx) throws Exception {
        String user = req.getParameter("user");
        SearchControls sc = new SearchControls();
        String filter = "(&(objectClass=person)(uid=" + user + "))";
        NamingEnumeration<SearchResult> found = ctx.search("ou=people,dc=acme", filter, sc);
        NamingEnumeration<SearchResult> ok = ctx.search("ou=people,dc=acme", "(uid={0})", new Object[] {user}, sc);
        return found.hasMore() || ok.hasMore();
    }

    String xpath(HttpServletRequest req, Document doc) throws Exception {
        XPath xp = XPathFactory.newInstance().newXPath();
        String expr = "/users/user[@name='" + req.getParameter("name") + "']/mail/text()";
        String a = xp.evaluate(expr, doc);
        int n = Integer.parseInt(req.getParameter("n"));
        String b = xp.evaluate("/users/user[" + n + "]/mail/text()", doc);
        return a + b;
    }

    Object restore(HttpServletRequest req) throws Exception {
        byte[] raw = Base64.getDecoder().decode(req.getParameter("state"));
        ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(raw));
        return in.readObject();
    }

    Document parse(HttpServletRequest req) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        DocumentBuilder b = f.newDocumentBuilder();
        return b.parse(req.getInputStream());
    }

    Document parseSafe(HttpServletRequest req) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        f.setXIncludeAware(false);
        DocumentBuilder b = f.newDocumentBuilder();
        return b.parse(req.getInputStream());
    }

    void transform(InputStream in) throws Exception {
        TransformerFactory tf = TransformerFactory.newInstance();
        tf.newTransformer(new javax.xml.transform.stream.StreamSource(in));
        TransformerFactory safe = TransformerFactory.newInstance();
        safe.setAttribute(javax.xml.XMLConstants.ACCESS_EXTERNAL_DTD, "");
        safe.setAttribute(javax.xml.XMLConstants.ACCESS_EXTERNAL_STYLESHEET, "");
        safe.newTransformer(new javax.xml.transform.stream.StreamSource(in));
    }

    byte[] digests(String password, byte[] file) throws Exception {
        String algorithm = "MD" + "5";
        MessageDigest md = MessageDigest.getInstance(algorithm);
        md.update(password.getBytes());
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        sha.update(file);
        MessageDigest one = MessageDigest.getInstance("SHA1");
        return one.digest(password.getBytes());
    }

    byte[] crypt(byte[] data, SecretKey key) throws Exception {
        Cipher a = Cipher.getInstance("AES");
        Cipher b = Cipher.getInstance("AES/GCM/NoPadding");
        Cipher c = Cipher.getInstance("DESede/CBC/PKCS5Padding");
        KeyGenerator g = KeyGenerator.getInstance("Blowfish");
        b.init(Cipher.ENCRYPT_MODE, key);
        return b.doFinal(data);
    }

    String token() {
        Random r = new Random();
        StringBuilder t = new StringBuilder();
        for (int i = 0; i < 16; i++) {
            t.append(Integer.toHexString(r.nextInt(16)));
        }
        return t.toString();
    }

    String tokenSafe() {
        SecureRandom r = new SecureRandom();
        byte[] b = new byte[16];
        r.nextBytes(b);
        return Base64.getEncoder().encodeToString(b);
    }

    void trust() throws Exception {
        TrustManager[] all = new TrustManager[] {new X509TrustManager() {
            public void checkClientTrusted(java.security.cert.X509Certificate[] c, String a) {}
            public void checkServerTrusted(java.security.cert.X509Certificate[] c, String a) {}
            public java.security.cert.X509Certificate[] getAcceptedIssuers() { return null; }
        }};
        SSLContext old = SSLContext.getInstance("TLSv1");
        SSLContext sc = SSLContext.getInstance("TLSv1.3");
        sc.init(null, null, new SecureRandom());
        HttpsURLConnection.setDefaultHostnameVerifier((h, s) -> true);
    }

    void cookies(HttpServletRequest req, HttpServletResponse resp) {
        Cookie bad = new Cookie("session", req.getSession().getId());
        bad.setSecure(false);
        resp.addCookie(bad);
        Cookie good = new Cookie("session", req.getSession().getId());
        good.setSecure(true);
        good.setHttpOnly(true);
        resp.addCookie(good);
    }

    Connection connect() throws SQLException {
        String user = "app";
        String pw = System.getenv("DB_PASSWORD");
        Connection ok = DriverManager.getConnection("jdbc:postgresql://db/app", user, pw);
        return DriverManager.getConnection("jdbc:postgresql://db/app", "app", "Gr33nTea!42");
    }

    SecretKeySpec key() {
        byte[] k = "0f1e2d3c4b5a6978".getBytes();
        return new SecretKeySpec(k, "AES");
    }

    SecretKeySpec keySafe(KeyStore ks, char[] pass) throws Exception {
        byte[] k = ks.getKey("main", pass).getEncoded();
        return new SecretKeySpec(k, "AES");
    }

    void log(HttpServletRequest req) {
        LOG.info("login of " + req.getParameter("user"));
        LOG.info("login of " + req.getParameter("user").replaceAll("[\r\n]", "_"));
    }

    void temp() throws IOException {
        File f = new File("/tmp/report-" + System.currentTimeMillis());
        f.createNewFile();
        Path p = Files.createTempFile("report", ".txt");
    }

    void unzip(java.util.zip.ZipInputStream zip, Path dir) throws IOException {
        java.util.zip.ZipEntry e;
        while ((e = zip.getNextEntry()) != null) {
            Path out = dir.resolve(e.getName());
            Files.copy(zip, out);
        }
    }

    void unzipSafe(java.util.zip.ZipInputStream zip, Path dir) throws IOException {
        java.util.zip.ZipEntry e;
        while ((e = zip.getNextEntry()) != null) {
            Path out = dir.resolve(e.getName()).normalize();
            if (!out.startsWith(dir)) {
                throw new IOException("outside");
            }
            Files.copy(zip, out);
        }
    }

    void dead(HttpServletRequest req, Connection con) throws SQLException {
        String p = req.getParameter("p");
        String bar = "x";
        int n = 10;
        if (n * 2 > 50) {
            bar = p;
        }
        con.createStatement().execute("DELETE FROM t WHERE a = '" + bar + "'");
        List<String> l = new ArrayList<>();
        l.add("safe");
        l.add(p);
        l.add("more");
        l.remove(0);
        con.createStatement().execute("DELETE FROM t WHERE a = '" + l.get(0) + "'");
        con.createStatement().execute("DELETE FROM t WHERE a = '" + l.get(1) + "'");
        String t = p.length() > 3 ? "long" : "short";
        con.createStatement().execute("DELETE FROM t WHERE a = '" + t + "'");
    }
}
