import com.launchdarkly.eventsource.ConnectStrategy;
import com.launchdarkly.eventsource.ErrorStrategy;
import com.launchdarkly.eventsource.EventSource;
import com.launchdarkly.eventsource.MessageEvent;
import java.net.URI;
import java.util.concurrent.TimeUnit;

/** okhttp-eventsource: WithOkhttpEventsource URL. It throws at the first break unless its error strategy is to go on. */
public final class WithOkhttpEventsource {
    /** Two and a half heartbeats. Otherwise a dead connection is noticed after 5 minutes. */
    private static final int SILENCE_SECS = 40;

    public static void main(String[] arguments) throws Exception {
        var strategy = ConnectStrategy.http(URI.create(arguments[0])).readTimeout(SILENCE_SECS, TimeUnit.SECONDS);
        var source = new EventSource.Builder(strategy).errorStrategy(ErrorStrategy.alwaysContinue()).build();
        for (MessageEvent event : source.messages()) {
            Handed.say(event.getEventName(), event.getData(), event.getLastEventId());
        }
    }
}
