/** Prints what a library handed its program, as one JSON object a line. */
final class Handed {
    private Handed() {}

    static void say(String name, String data, String id) {
        boolean isNamed = name != null && !name.isEmpty();
        print("{\"name\":" + json(isNamed ? name : "message") + ",\"data\":" + json(data) + ",\"id\":" + json(id) + "}");
    }

    /** The library has ended, and the program starts it anew. */
    static void again(String reason) {
        print("{\"again\":" + json(reason) + "}");
    }

    private static synchronized void print(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String json(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder quoted = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            boolean isPlain = unit >= ' ' && unit < 127 && unit != '"' && unit != '\\';
            quoted.append(isPlain ? String.valueOf(unit) : String.format("\\u%04x", (int) unit));
        }
        return quoted.append('"').toString();
    }
}
