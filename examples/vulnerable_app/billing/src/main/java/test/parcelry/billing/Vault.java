package test.parcelry.billing;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Random;
import javax.crypto.Cipher;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.X509TrustManager;

final class Vault {
    private static final SecureRandom SECURE = new SecureRandom();

    Connection connect() throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://db/billing", "billing", "Tr4nsfer-Money-Now");
    }

    Connection connectStrict() throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://db/billing", "billing", System.getenv("BILLING_PW"));
    }

    byte[] credentialDigest(byte[] data) throws GeneralSecurityException {
        return MessageDigest.getInstance("MD5").digest(data);
    }

    byte[] digest(byte[] data) throws GeneralSecurityException {
        return MessageDigest.getInstance("SHA-256").digest(data);
    }

    Cipher legacyCipher() throws GeneralSecurityException {
        return Cipher.getInstance("DES/CBC/PKCS5Padding");
    }

    Cipher cardCipher() throws GeneralSecurityException {
        return Cipher.getInstance("AES/ECB/PKCS5Padding");
    }

    Cipher cipher() throws GeneralSecurityException {
        return Cipher.getInstance("AES/GCM/NoPadding");
    }

    String paymentToken() {
        Random random = new Random();
        return Long.toHexString(random.nextLong());
    }

    String receiptToken() {
        return Long.toHexString(SECURE.nextLong());
    }

    void trustPartner(HttpsURLConnection connection) {
        connection.setHostnameVerifier((host, session) -> true);
    }

    static final class TrustAll implements X509TrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {
            throw new IllegalStateException("no clients here");
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
