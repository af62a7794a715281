package redistest

// Doors for the tests of this package.
var (
	Frame      = frame
	ReadReply  = readReply
	ParseStats = parseStats
	Binary     = binary
	ErrFormat  = errProtocol
)
