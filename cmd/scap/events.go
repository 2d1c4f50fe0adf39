// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/scap/event"
)

type eventDoc struct {
	Code     event.Type `json:"code"`
	Name     string     `json:"name"`
	Dir      string     `json:"dir"`
	Category string     `json:"category"`
	Source   string     `json:"source"`
	Old      bool       `json:"old,omitempty"`
	Own      bool       `json:"own,omitempty"`
	Params   []paramDoc `json:"params"`
}

type paramDoc struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Names []string `json:"names,omitempty"`
}

func newEventsCmd() *cobra.Command {
	var asJSON, old bool
	cmd := &cobra.Command{
		Use:   "events [NAME...]",
		Short: "List the event types with their params",
		Long: `List the event types: code, direction, name, and the name and type of each param.
Codes from 32768 on belong to this project only.`,
		Example:           "  scap events openat connect",
		ValidArgsFunction: completeEvents,
		RunE: func(cmd *cobra.Command, args []string) error {
			docs := []eventDoc{}
			unknown := slices.Clone(args)
			for info := range event.All() {
				if info.Flags&event.Unused != 0 || info.Flags&event.OldVersion != 0 && !old || len(args) > 0 && !slices.Contains(args, info.Name) {
					continue
				}
				docs = append(docs, documentEvent(info))
				unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == info.Name })
			}
			if len(unknown) > 0 {
				return cli.Usage(fmt.Errorf("unknown event %s (--old lists more)", strings.Join(unknown, ", ")))
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if asJSON {
				enc := json.NewEncoder(out)
				enc.SetIndent("", " ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(docs); err != nil {
					return err
				}
				return out.Flush()
			}
			for _, d := range docs {
				fmt.Fprintf(out, "%5d %s %s(", d.Code, d.Dir, d.Name)
				for i, p := range d.Params {
					if i > 0 {
						out.WriteString(", ")
					}
					out.WriteString(p.Name + " " + p.Type)
				}
				out.WriteString(")\n")
			}
			return out.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON list, with the names of flags")
	cmd.Flags().BoolVar(&old, "old", false, "also list types that only older captures have")
	return cmd
}

func documentEvent(info *event.Info) eventDoc {
	d := eventDoc{
		Code: info.Code, Name: info.Name, Dir: direction(info.Code),
		Category: info.Category.String(), Source: info.Source.String(),
		Old: info.Flags&event.OldVersion != 0, Own: info.Code >= event.FirstOwn,
		Params: []paramDoc{},
	}
	for i := range info.Params {
		p := paramDoc{Name: info.Params[i].Name, Type: info.Params[i].Type.String()}
		if set := info.Params[i].Names; set != nil {
			for _, v := range set.Values {
				p.Names = append(p.Names, v.Name)
			}
		}
		d.Params = append(d.Params, p)
	}
	return d
}

// direction is what evt.dir is for events of a type.
func direction(t event.Type) string {
	if t.Enter() {
		return ">"
	}
	return "<"
}
