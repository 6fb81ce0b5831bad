//! HTTP trackers (BEP 3, 7, 23, 24, 31, 48) without HTTP: the URL to get, and what the body says.
//!
//! Pure, so any HTTP client serves, and whatever a server of one's own is made of. Bodies are read
//! with `bt_bencode`, after a look at their size and depth: it recurses as deep as its input nests.
//! Every field is then matched by its type, since one that is told to expect bytes takes the raw
//! bytes of a list for them.

mod answer;
mod request;
mod url;

pub use answer::{
    Announced, AnswerError, Refusal, Retry, read_announced, read_scraped, write_announced,
    write_refusal, write_scraped,
};
pub use request::{HttpRequest, RequestError};
pub use url::{announce_url, scrape_url};
