// A clang-tidy plugin that keeps its checks to the project's declarations. Without it they walk the whole of
// the standard library, nlohmann_json and Boost for each file and then throw away what they found there,
// which is most of the time that clang-tidy takes.
#include <clang-tidy/ClangTidyCheck.h>
#include <clang-tidy/ClangTidyModule.h>
#include <clang-tidy/ClangTidyModuleRegistry.h>

#include <vector>

namespace {

using clang::ast_matchers::MatchFinder;

// The first node that is matched is the translation unit; its children are then taken from the scope that is
// set here.
class OwnCode : public clang::tidy::ClangTidyCheck {
 public:
  using ClangTidyCheck::ClangTidyCheck;

  void registerMatchers(MatchFinder* finder) override {
    finder->addMatcher(clang::ast_matchers::translationUnitDecl().bind("unit"), this);
  }

  void check(const MatchFinder::MatchResult& result) override {
    std::vector<clang::Decl*> scope;
    for (clang::Decl* decl : result.Nodes.getNodeAs<clang::TranslationUnitDecl>("unit")->noload_decls()) {
      const auto at = result.SourceManager->getExpansionLoc(decl->getLocation());
      if (at.isValid() && !result.SourceManager->isInSystemHeader(at)) scope.push_back(decl);
    }
    if (!scope.empty()) result.Context->setTraversalScope(scope);
  }
};

class Module : public clang::tidy::ClangTidyModule {
 public:
  void addCheckFactories(clang::tidy::ClangTidyCheckFactories& factories) override {
    factories.registerCheck<OwnCode>("ybis-own-code");
  }
};

const clang::tidy::ClangTidyModuleRegistry::Add<Module> kModule("ybis-module",
                                                                "Keeps checks to the project's code");

}  // namespace
