package testcases;

import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.*;
import java.sql.*;
import java.util.*;
import java.util.logging.*;
import java.util.zip.*;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.naming.directory.*;
import javax.net.ssl.*;
import javax.servlet.http.*;
import javax.xml.parsers.*;
import javax.xml.xpath.*;

public class Juliet extends AbstractTestCaseServlet {
    private static final boolean PRIVATE_STATIC_FINAL_TRUE = true;
    private static final int STATIC_FINAL_FIVE = 5;

    private String readLine() throws IOException {
        BufferedReader r = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        return r.readLine();
    }

    public void bad() throws Throwable {
        String data;
        Socket socket = new Socket("host.example.org", 39544);
        BufferedReader readerBuffered = new BufferedReader(new InputStreamReader(socket.getInputStream(), "UTF-8"));
        data = readerBuffered.readLine();
        Connection dbConnection = IO.getDBConnection();
        Statement sqlStatement = dbConnection.createStatement();
        Boolean result = sqlStatement.execute("insert into users (status) values ('updated') where name='" + data + "'");
    }

    private void goodG2B() throws Throwable {
        String data = "foo";
        Connection dbConnection = IO.getDBConnection();
        Statement sqlStatement = dbConnection.createStatement();
        sqlStatement.execute("insert into users (status) values ('updated') where name='" + data + "'");
    }

    private void goodB2G() throws Throwable {
        String data = readLine();
        Connection dbConnection = IO.getDBConnection();
        PreparedStatement sqlStatement = dbConnection.prepareStatement("insert into users (status) values ('updated') where name=?");
        sqlStatement.setString(1, data);
        sqlStatement.execute();
    }

    public void flagBad(HttpServletRequest request) throws Throwable {
        String data;
        if (PRIVATE_STATIC_FINAL_TRUE) {
            data = request.getParameter("name");
        } else {
            data = null;
        }
        Connection c = IO.getDBConnection();
        c.createStatement().executeQuery("select * from users where name='" + data + "'");
    }

    public void flagGood(HttpServletRequest request) throws Throwable {
        String data;
        if (STATIC_FINAL_FIVE != 5) {
            data = request.getParameter("name");
        } else {
            data = "foo";
        }
        Connection c = IO.getDBConnection();
        c.createStatement().executeQuery("select * from users where name='" + data + "'");
    }

    private String source(HttpServletRequest request) {
        return request.getParameter("name");
    }

    private void sink(String data) throws Throwable {
        Runtime.getRuntime().exec("/usr/bin/cat " + data);
    }

    public void sourceSink(HttpServletRequest request) throws Throwable {
        sink(source(request));
    }

    private void sinkGood(String data) throws Throwable {
        Runtime.getRuntime().exec("/usr/bin/cat " + data);
    }

    public void sourceSinkGood() throws Throwable {
        sinkGood("notes.txt");
    }

    public void vector(HttpServletRequest request) throws Throwable {
        Vector<String> dataVector = new Vector<String>(5);
        dataVector.add(0, request.getParameter("name"));
        String data = dataVector.remove(0);
        Process p = Runtime.getRuntime().exec("ls " + data);
        p.waitFor();
    }

    public void hashMap(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        HashMap<Integer, String> map = new HashMap<Integer, String>();
        map.put(0, "a");
        map.put(2, request.getParameter("name"));
        response.getWriter().println("<br>bad(): data = " + map.get(2));
        response.getWriter().println("<br>good(): data = " + map.get(0));
    }

    public void xssCookie(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        Cookie[] cookies = request.getCookies();
        String data = "";
        for (Cookie c : cookies) {
            if (c.getName().equals("data")) {
                data = c.getValue();
            }
        }
        response.getWriter().println("<br>data = " + data);
        data = data.replaceAll("[^a-zA-Z0-9]", "");
        response.getWriter().println("<br>data = " + data);
    }

    public void xssError(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        response.sendError(404, "<br>bad() - Parameter name has value " + request.getParameter("name"));
    }

    public void traversal(HttpServletRequest request) throws Throwable {
        String root = "/uploads/";
        File file = new File(root + request.getParameter("name"));
        if (file.exists()) {
            IO.writeLine(new FileInputStream(file));
        }
    }

    public void traversalGood(HttpServletRequest request) throws Throwable {
        String name = request.getParameter("name");
        if (name.contains("..") || name.contains("/")) {
            return;
        }
        File file = new File("/uploads/" + name);
        IO.writeLine(file.length());
    }

    public void ldap() throws Throwable {
        String data = readLine();
        DirContext ctx = new InitialDirContext(new Hashtable<String, String>());
        ctx.search("", "(cn=" + data + ")", null);
    }

    public void xpath() throws Throwable {
        String data = readLine();
        String[] tokens = data.split("\\|\\|");
        XPath xPath = XPathFactory.newInstance().newXPath();
        String query = "//users/user[name/text()='" + tokens[0] + "' and pass/text()='" + tokens[1] + "']/secret/text()";
        xPath.evaluate(query, new org.xml.sax.InputSource("x.xml"));
    }

    public void redirect(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        String data = request.getQueryString();
        URI uri = new URI(data);
        response.sendRedirect(data);
    }

    public void redirectGood(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        Map<String, String> pages = new HashMap<>();
        pages.put("home", "/home.jsp");
        String to = pages.get(request.getParameter("page"));
        response.sendRedirect(to == null ? "/index.jsp" : to);
    }

    public void header(HttpServletRequest request, HttpServletResponse response) throws Throwable {
        response.addHeader("X-Author", request.getParameter("author"));
    }

    public void deserialize() throws Throwable {
        Socket s = new ServerSocket(1).accept();
        ObjectInputStream in = new ObjectInputStream(s.getInputStream());
        String data = (String) in.readObject();
    }

    public void reflection(HttpServletRequest request) throws Throwable {
        Class<?> c = Class.forName(request.getParameter("class"));
        c.getDeclaredConstructor().newInstance();
    }

    public void password() throws Throwable {
        String data = "7e5tc4s3";
        Connection c = DriverManager.getConnection("jdbc:derby://localhost", "root", data);
        PasswordAuthentication p = new PasswordAuthentication("user", System.getProperty("pw").toCharArray());
    }

    public void des() throws Throwable {
        KeyGenerator kg = KeyGenerator.getInstance("DES");
        SecretKey k = kg.generateKey();
    }

    public void aes() throws Throwable {
        KeyGenerator kg = KeyGenerator.getInstance("AES");
        kg.init(256);
    }

    public void md2() throws Throwable {
        MessageDigest hash = MessageDigest.getInstance("MD2");
        hash.digest("x".getBytes("UTF-8"));
    }

    public void sha512() throws Throwable {
        MessageDigest hash = MessageDigest.getInstance("SHA-512");
        hash.digest("x".getBytes("UTF-8"));
    }

    public String sessionToken() {
        return Long.toHexString(Double.doubleToLongBits(Math.random()));
    }

    public String sessionTokenGood() {
        return new java.math.BigInteger(130, new SecureRandom()).toString(32);
    }

    public void cookie(HttpServletResponse response) {
        Cookie cookie = new Cookie("SecretMessage", "test");
        response.addCookie(cookie);
    }

    public void cookieGood(HttpServletResponse response) {
        Cookie cookie = new Cookie("SecretMessage", "test");
        cookie.setSecure(true);
        cookie.setHttpOnly(true);
        response.addCookie(cookie);
    }

    public SSLSocketFactory trust() throws Exception {
        SSLContext ctx = SSLContext.getInstance("SSLv3");
        return ctx.getSocketFactory();
    }

    public HttpsURLConnection host(URL u) throws Exception {
        HttpsURLConnection c = (HttpsURLConnection) u.openConnection();
        c.setHostnameVerifier(new HostnameVerifier() {
            public boolean verify(String h, SSLSession s) {
                return true;
            }
        });
        return c;
    }

    public void unzip(ZipFile zip, File dir) throws IOException {
        Enumeration<? extends ZipEntry> e = zip.entries();
        while (e.hasMoreElements()) {
            ZipEntry entry = e.nextElement();
            File f = new File(dir, entry.getName());
            FileOutputStream out = new FileOutputStream(f);
            out.close();
        }
    }

    public void xml(HttpServletRequest request) throws Exception {
        SAXParserFactory f = SAXParserFactory.newInstance();
        f.newSAXParser().parse(request.getInputStream(), new org.xml.sax.helpers.DefaultHandler());
    }

    public void xmlGood(HttpServletRequest request) throws Exception {
        SAXParserFactory f = SAXParserFactory.newInstance();
        f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        f.newSAXParser().parse(request.getInputStream(), new org.xml.sax.helpers.DefaultHandler());
    }

    public void fetch(HttpServletRequest request) throws Exception {
        String u = request.getParameter("u");
        InputStream in = new URL(u).openStream();
        in.close();
    }

    public void logIt(HttpServletRequest request) {
        Logger.getLogger("x").warning("failed: " + request.getHeader("User-Agent"));
    }
}
