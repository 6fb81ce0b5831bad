//! The tinybt DHT on plain sockets and one thread.
