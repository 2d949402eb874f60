package records;

public final class RecordsFuzzer {
    public static void fuzzerTestOneInput(byte[] data) {
        try {
            Records.parse(data);
        } catch (Records.Bad e) {
            // as it should be
        }
    }
}
