// Command operator-config says of a Prometheus object what a cluster would: `validate` what its API server has against
// it, by the CRD's own schema, and `generate` what its operator makes of it. Both read JSON and write JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(*json.Decoder) (any, error){"generate": generate, "validate": validate}
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: operator-config generate|validate")
		os.Exit(2)
	}
	answer, err := commands[os.Args[1]](json.NewDecoder(os.Stdin))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
