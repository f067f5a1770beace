module tzgo-client

go 1.26

require blockwatch.cc/tzgo v1.18.4

require (
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.2.0 // indirect
	github.com/echa/bson v0.0.0-20220430141917-c0fbdf7f8b79 // indirect
	github.com/echa/log v1.2.4 // indirect
	github.com/fatih/color v1.16.0 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	golang.org/x/crypto v0.18.0 // indirect
	golang.org/x/exp v0.0.0-20240112132812-db7319d0e0e3 // indirect
	golang.org/x/sys v0.16.0 // indirect
)
