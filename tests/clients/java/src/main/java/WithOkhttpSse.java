import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.sse.EventSource;
import okhttp3.sse.EventSourceListener;
import okhttp3.sse.EventSources;

/** okhttp-sse: WithOkhttpSse URL. The library reads one answer; to come back is the program's. */
public final class WithOkhttpSse {
    /** Two and a half heartbeats. OkHttp would otherwise give up after 10 seconds of silence. */
    private static final int SILENCE_SECS = 40;

    private static final int RETRY_MILLIS = 1000;

    public static void main(String[] arguments) throws Exception {
        var client = new OkHttpClient.Builder().readTimeout(SILENCE_SECS, TimeUnit.SECONDS).build();
        var reader = new Reader();
        while (true) {
            var request = new Request.Builder().url(arguments[0]);
            if (reader.lastId != null) {
                request.header("Last-Event-ID", reader.lastId);
            }
            EventSources.createFactory(client).newEventSource(request.build(), reader);
            Handed.again(reader.ends.take());
            // The library keeps the server's `retry` to itself.
            Thread.sleep(RETRY_MILLIS);
        }
    }

    private static final class Reader extends EventSourceListener {
        volatile String lastId;

        /** Why each stream ended. There is one stream at a time. */
        final BlockingQueue<String> ends = new ArrayBlockingQueue<>(1);

        @Override
        public void onEvent(EventSource source, String id, String name, String data) {
            lastId = id == null ? lastId : id;
            Handed.say(name, data, id);
        }

        @Override
        public void onClosed(EventSource source) {
            ends.add("the stream ended");
        }

        @Override
        public void onFailure(EventSource source, Throwable error, Response response) {
            ends.add(String.valueOf(error));
        }
    }
}
