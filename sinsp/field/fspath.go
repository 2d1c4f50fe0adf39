// SPDX-License-Identifier: Apache-2.0

package field

import (
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

var fsPathClass = &Class{
	Name: "fs.path",
	Desc: "the paths that successful calls were given; calls on descriptors have fd fields",
	Fields: []Field{
		{Name: "fs.path.name", Type: String,
			Desc:    "absolute path of a call that takes one path",
			Extract: orFile(callPath(onlyPath, absolutePath)), Codes: onePath},
		{Name: "fs.path.nameraw", Type: String,
			Desc:    "path of a call that takes one path, as it got it",
			Extract: orFile(callPath(onlyPath, rawPath)), Codes: onePath},
		{Name: "fs.path.source", Type: String,
			Desc:    "absolute first path of a call that takes two; of a link its own name, of a mount the device",
			Extract: callPath(sourcePath, absolutePath), Codes: twoPaths},
		{Name: "fs.path.sourceraw", Type: String,
			Desc:    "fs.path.source as the call got it",
			Extract: callPath(sourcePath, rawPath), Codes: twoPaths},
		{Name: "fs.path.target", Type: String,
			Desc:    "absolute second path of a call that takes two; of a link what it points to",
			Extract: callPath(targetPath, absolutePath), Codes: twoPaths},
		{Name: "fs.path.targetraw", Type: String,
			Desc:    "fs.path.target as the call got it",
			Extract: callPath(targetPath, rawPath), Codes: twoPaths},
	},
}

var (
	onePath  = codes(func(r *roles) bool { return r.path >= 0 || r.ofFile })
	twoPaths = codes(func(r *roles) bool { return r.source >= 0 })
)

func onlyPath(r *roles) int8   { return r.path }
func sourcePath(r *roles) int8 { return r.source }
func targetPath(r *roles) int8 { return r.dest }

// callPath makes an extract of a path of successful calls.
func callPath(which func(*roles) int8, set func(*sinsp.Event, int, *Value) bool) extract {
	return func(ev *sinsp.Event, _ *Arg, v *Value) bool {
		at := which(rolesOf(ev.Type()))
		return at >= 0 && succeeded(ev) && set(ev, int(at), v)
	}
}

// orFile makes an extract of the file's path for calls that have a descriptor in place
// of a path.
func orFile(path extract) extract {
	return func(ev *sinsp.Event, arg *Arg, v *Value) bool {
		if !rolesOf(ev.Type()).ofFile {
			return path(ev, arg, v)
		}
		fd := ev.FD()
		return succeeded(ev) && fd != nil && v.present(fd.Path)
	}
}

func succeeded(ev *sinsp.Event) bool {
	res, ok := returned(ev)
	return ok && res >= 0
}

// rawPath sets a path as the call got it.
func rawPath(ev *sinsp.Event, at int, v *Value) bool {
	path := event.CString(ev.Param(at))
	return len(path) > 0 && v.SetBytes(path)
}

// absolutePath sets a path below the directory that it is relative to.
func absolutePath(ev *sinsp.Event, at int, v *Value) bool {
	path := event.CString(ev.Param(at))
	if len(path) == 0 || path[0] != '/' && ev.Thread == nil {
		return false
	}
	return v.SetScratch(ev.AppendPath(v.Scratch(), dirOf(ev, &ev.Info().Params[at]), path))
}

// dirOf returns the descriptor of the directory that a path is relative to.
func dirOf(ev *sinsp.Event, p *event.ParamInfo) event.FD {
	if p.Type != event.ParamFSRelPath || p.DirFD < 0 {
		return event.AtFDCWD
	}
	b := ev.Param(int(p.DirFD))
	if len(b) != 8 && len(b) != 4 {
		return event.AtFDCWD
	}
	return event.FD(signedValue(b))
}

// extractAbsPath sets the path of a call with the descriptor of a directory. Of a call
// with two of them it is the first, and the second for dst.
func extractAbsPath(ev *sinsp.Event, arg *Arg, v *Value) bool {
	at := rolesOf(ev.Type()).relative[0]
	if second := rolesOf(ev.Type()).relative[1]; arg.Text == "dst" && second >= 0 {
		at = second
	}
	return at >= 0 && absolutePath(ev, int(at), v)
}
