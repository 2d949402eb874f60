package records;

import java.nio.charset.StandardCharsets;

/** A reader of small records, with three planted bugs: one kind of record each. */
public final class Records {
    public static final class Bad extends Exception {}

    private Records() {}

    /** The first byte says what it is: a name, a number, or something to make. */
    public static int parse(byte[] data) throws Bad {
        if (data.length < 3)
            throw new Bad();
        switch (data[0]) {
            case 'N': return name(data);
            case 'I': return number(data);
            case 'M': return make(data);
            default: throw new Bad();
        }
    }

    /** Its length, then its letters: the length is believed. */
    private static int name(byte[] data) {
        int sum = 0;
        for (int i = 0; i < (data[1] & 255); i++)
            sum += data[2 + i];
        return sum;
    }

    /** Digits, as the input says. */
    private static int number(byte[] data) {
        return Integer.parseInt(new String(data, 1, data.length - 1, StandardCharsets.UTF_8));
    }

    /** An object of the class that the input names. */
    private static int make(byte[] data) {
        String name = new String(data, 1, data.length - 1, StandardCharsets.UTF_8);
        try {
            return Class.forName(name).getDeclaredConstructor().newInstance().hashCode();
        } catch (ReflectiveOperationException | LinkageError e) {
            return 0;
        }
    }
}
