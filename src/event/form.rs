//! The forms in which a stream may ask for its events.

use super::Frame;
use crate::topic::Topic;

/// The form of a stream's events. Each is made of the plain one, which is all that a history keeps.
///
/// A further form is one more variant, with its arms here.
///
/// ```
/// use callout::{Answer, App, Error, Form, Request, Start};
///
/// /// A stream whose events say which topic they came by, whatever the request asks for.
/// fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
///     let mut stream = app.stream(request, Start::Live)?;
///     stream.form = Form::WithTopic;
///     Ok(Answer::stream(stream))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Form {
    /// As the HTML standard has it, and nothing else.
    #[default]
    Plain,
    /// With a field `topic` before the others, which native EventSource ignores.
    WithTopic,
}

impl Form {
    /// Whether an event differs between two streams that it reaches by different topics. Then those do not share it.
    pub(crate) fn tells_topic(self) -> bool {
        match self {
            Form::Plain => false,
            Form::WithTopic => true,
        }
    }

    /// A plain event in this form, for streams that it reaches by this topic. Of several of its topics that a stream
    /// subscribes to that is the first, in the publisher's order. Other topics of the event are not told: the stream has
    /// not asked for them, and perhaps may not.
    pub(crate) fn encode(self, plain: &Frame, topic: &Topic) -> Frame {
        match self {
            Form::Plain => plain.clone(),
            // A topic has no control characters, so it is one line.
            Form::WithTopic => [b"topic: ", topic.as_str().as_bytes(), b"\n", plain].concat().into(),
        }
    }
}
