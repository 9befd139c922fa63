# What `cmake --install` (./dev install) puts where.
include(GNUInstallDirs)

foreach(program coop cooper)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
# Programs that people do not call themselves.
foreach(program cooper-init cooper-fetch)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/cooper)
  endif()
endforeach()

# Manual pages are written in scdoc: docs/man/NAME.SECTION.scd
find_program(SCDOC scdoc)
file(GLOB manual_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.scd)
if(SCDOC AND manual_sources)
  foreach(source ${manual_sources})
    get_filename_component(page ${source} NAME_WLE)
    get_filename_component(section ${page} LAST_EXT)
    string(SUBSTRING ${section} 1 -1 section)
    set(built ${CMAKE_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${built} DEPENDS ${source}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
      COMMAND sh -c "'${SCDOC}' <'${source}' >'${built}.new' && mv '${built}.new' '${built}'" VERBATIM)
    list(APPEND manual_pages ${built})
    install(FILES ${built} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
  add_custom_target(manual ALL DEPENDS ${manual_pages})
endif()

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
