package h1

// Where in a head a parser stands, kept in codec.Progress.Stage; in wire order.
const (
	atStart     uint8 = iota // nothing has been looked at
	inMethod                 // request line
	inTarget                 //
	inVersion                //
	inReason                 // status line; what stands before the reason has fixed positions and belongs to atStart
	atLine                   // first byte of a field line, or of the empty line
	inName                   // field line
	beforeColon              //
	inValue                  //
)

// What has been met in a head, kept in codec.Progress.Flags.
const (
	sawHost uint16 = 1 << iota
	sawLength
	sawCoding
	sawUpgrade
	sawExpect
	saysClose     // Connection: close
	saysKeepAlive // Connection: keep-alive
	saysUpgrade   // Connection: upgrade
	absoluteForm  // the target names the authority
)
