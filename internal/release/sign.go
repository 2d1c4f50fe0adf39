// SPDX-License-Identifier: Apache-2.0

package release

import (
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/minisign"
	"github.com/scaplab/scaplab/internal/modsign"
)

// Signers sign a release.
type Signers struct {
	Modules *modsign.Key  // signs modules; nil: they are not signed
	Files   *minisign.Key // signs the checksums and the provenance; nil: they are not signed
}

// signedBy identifies the certificate of the modules.
func (s *Signers) signedBy() string {
	if s.Modules == nil {
		return ""
	}
	return files.Sum(s.Modules.Certificate.Raw)
}

func (s *Signers) signModule(module []byte) ([]byte, error) {
	if s.Modules == nil {
		return module, nil
	}
	return s.Modules.Sign(module)
}

// signFile returns the signature of a file of the release, or nil if files are not signed. The comment, which is signed, too, has the name
// alone, for a time would make each signature another one.
func (s *Signers) signFile(name string, data []byte) []byte {
	if s.Files == nil {
		return nil
	}
	return s.Files.Sign(data, "file:"+name)
}
