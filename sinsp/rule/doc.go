// SPDX-License-Identifier: Apache-2.0

// Package rule loads rule files of falco and applies them to events.
//
//	var l rule.Loader
//	l.Add("rules.yaml", text)
//	set, report := l.Load()
//	if report.Failed() {
//		...
//	}
//	engine := set.Engine(rule.Options{})
//	for {
//		ev, err := in.Next()
//		...
//		for r := engine.First(ev); r != nil; r = engine.Next(ev) {
//			fmt.Println(r.Name)
//		}
//	}
//
// A file is a list of items: lists, macros, rules, and the versions that it needs. A
// [Loader] collects the items of all files, in their order, since later items change
// earlier ones. [Loader.Load] then compiles the rules and reports everything that is
// wrong, each with its place.
//
// docs/rules.md describes the files.
package rule
