// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/sinsp/rule"
)

func newRulesCmd() *cobra.Command {
	var o rulesOptions
	var help bool
	cmd := &cobra.Command{
		Use:   "rules [-r FILE] RULES...",
		Short: "Alert when rules of falco match",
		Long: `Apply rule files of falco to the events of this machine, or to those of a capture. Each
match is an alert: a line of text or a JSON object. Only the system calls that the rules and
the state need are captured. SIGHUP reads the rule files again and opens output files anew,
SIGINT ends with totals. RULES are files, and directories with .yaml and .yml files, in
their order: later ones change what earlier ones define. docs/rules.md says more.`,
		Example: "  scap rules falco_rules.yaml my_rules.yaml\n" +
			"  scap rules -r trace.scap --json falco_rules.yaml\n" +
			"  scap rules --output file:/var/log/alerts --output https://alerts.example/ --metrics falco_rules.yaml",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case help:
				return helpOptions(cmd.OutOrStdout())
			case len(args) == 0:
				return cli.Usage(errors.New("which rules? (scap rules RULES...)"))
			}
			return o.run(cmd, args)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&help, "help-options", false, "list the settings that -o takes")
	cmd.AddCommand(newRulesCheckCmd(), newRulesExplainCmd())
	return cmd
}

func newRulesCheckCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong with rule files",
		Long: `Load rule files in the given order and print all errors and warnings, each with its
place. A directory stands for the .yaml and .yml files in it. The exit status is 1 if there
are errors; warnings do not count.`,
		Example: "  scap rules check falco_rules.yaml my_rules.yaml\n  scap rules check --json /etc/falco/rules.d",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, report := loadRules(args, nil)
			out := cmd.OutOrStdout()
			if asJSON {
				text, err := json.Marshal(report)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s\n", escape.SafeJSON(text))
			} else {
				printReport(out, report)
				if !report.Failed() {
					fmt.Fprintln(out, howMany(len(set.Rules), "rule"))
				}
			}
			if report.Failed() {
				return cli.Found(nil)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&asJSON, "json", "j", false, "one JSON object, in the shape of falco's validation output")
	return cmd
}

// loadRules loads rule files and directories.
func loadRules(paths []string, add []rule.Append) (*rule.Set, *rule.Report) {
	l := rule.Loader{Append: add}
	for _, path := range paths {
		l.AddFile(path)
	}
	return l.Load()
}

func howMany(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printReport(out io.Writer, report *rule.Report) {
	for _, m := range report.Messages() {
		fmt.Fprintln(out, escape.Lines(m.String()))
	}
}
