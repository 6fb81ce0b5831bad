//! `tinybt sample`: asks one node once for some of the info-hashes that it stores.

use serde_json::json;
use tinybt_std::Error;
use tinybt_std::core::Id;
use tinybt_std::core::wire::krpc::{self, Body, Question};

use crate::args::{Format, Sample};
use crate::exit::{Failure, Found};
use crate::input::address;
use crate::output::{Output, plural};
use crate::questions::endpoint;

pub(crate) fn run(args: &Sample) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    let addr = address(&args.addr)?;
    let question = Question::SampleInfohashes { target: Id::default(), want: None };
    let answered = match endpoint(&args.bind)?.ask(addr, question) {
        Ok(answered) => answered,
        Err(error @ (Error::Silent(_) | Error::Refused { .. })) => {
            return nothing(&output, addr, &error.to_string());
        }
        Err(error) => return Err(error.into()),
    };
    let message = krpc::decode(&answered.datagram).ok();
    let response = message.as_ref().and_then(|message| match &message.body {
        Body::Response(response) => Some(response),
        _ => None,
    });
    let Some(samples) = response.and_then(|response| response.samples()) else {
        return nothing(&output, addr, &format!("{addr} tells no samples"));
    };
    output.json(&json!({
        "node": addr.to_string(),
        "id": response.and_then(|response| response.id()).map(|id| id.to_string()),
        "interval": samples.interval,
        "num": samples.stored,
    }))?;
    let stored = usize::try_from(samples.stored).unwrap_or(0);
    let stored = plural(stored, "torrent");
    output.say(&format!("{addr} knows {stored}; next sample in {} s", samples.interval))?;
    let mut is_something = false;
    for info_hash in samples.info_hashes() {
        is_something = true;
        output.hash(info_hash)?;
    }
    Ok(if is_something { Found::Something } else { Found::Nothing })
}

fn nothing(output: &Output, addr: std::net::SocketAddr, why: &str) -> Result<Found, Failure> {
    output.json(&json!({"node": addr.to_string(), "error": why}))?;
    output.say(why)?;
    Ok(Found::Nothing)
}
