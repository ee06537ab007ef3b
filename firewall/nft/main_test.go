package nft

import (
	"os"
	"testing"

	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }
