//! The tinybt DHT on async-io. Reserved: `tinybt-std` is the runtime there is today.
